// A user in no group: Keycloak's own mapper then writes no claim at all, and services refuse a token without `groups`,
// because it could as well be one of which the groups were not read.
//
// Keycloak runs this after that mapper. It says "none" only of a user whom Keycloak finds in no group.

var ArrayList = Java.type("java.util.ArrayList");

var claims = token.getOtherClaims();
if (claims.get("groups") == null && !user.getGroupsStream().findAny().isPresent()) claims.put("groups", new ArrayList());

exports = null;
