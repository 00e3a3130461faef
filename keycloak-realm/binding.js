// Whose key an access token is bound to: the claim `zt_cnf`, with what Keycloak would write into `cnf` (RFC 7800).
//
// A client that users sign in with proves a key at the token endpoint (DPoP, RFC 9449), and Keycloak verifies the proof,
// binds the refresh token, and would bind the access token by `cnf`. But Keycloak 26.7 exchanges no token with `cnf`,
// and the orchestrator has to exchange this one (RFC 9449 section 6 allows other ways to bind a token). So the thumbprint
// stands under a name of ours, which Keycloak does not look at; introspection answers `cnf` (section 6.2).
//
// A script that throws does not stop Keycloak: the token goes out all the same, without the claim. So the token is dead
// first, and comes alive in the last step. A dead one opens nothing, and Keycloak will not exchange it.

var AccessToken = Java.type("org.keycloak.representations.AccessToken");
var Confirmation = Java.type("org.keycloak.representations.AccessToken$Confirmation");
var LinkedHashMap = Java.type("java.util.LinkedHashMap");

var CLAIM = "zt_cnf";

var form = keycloakSession.getContext().getHttpRequest().getDecodedFormParameters();

function bind() {
  var end = token.getExp();
  token.exp(1);
  // Keycloak has verified this proof. Without one there is nothing here, and the next line throws.
  var thumbprint = keycloakSession.getAttribute("dpop").getThumbprint();
  // Whether this runs before or after Keycloak's own mapper, only the refresh token keeps Keycloak's binding.
  keycloakSession.setAttribute("dpop-binding-only-refresh-token", java.lang.Boolean.TRUE);
  token.setConfirmation(null);
  token.type("DPoP"); // `token_type` of the answer
  // `openid` has brought the ID token; an agent that got it by exchange could ask for one, too.
  token.setScope(token.getScope().split(" ").filter(function (scope) { return scope != "openid"; }).join(" "));
  var confirmation = new LinkedHashMap();
  confirmation.put("jkt", thumbprint);
  token.getOtherClaims().put(CLAIM, confirmation);
  token.exp(end); // alive
  return confirmation;
}

// Introspection builds its answer anew.
function repeat() {
  var asked = keycloakSession.tokens().decode(form.getFirst("token"), AccessToken.class);
  var bound = asked == null ? null : asked.getOtherClaims().get(CLAIM);
  if (bound == null) return null;
  var confirmation = new Confirmation();
  confirmation.setKeyThumbprint(bound.get("jkt"));
  token.setConfirmation(confirmation);
  return bound;
}

function claim() {
  if (form.getFirst("grant_type") != null) return token instanceof AccessToken ? bind() : null;
  return form.getFirst("token") != null ? repeat() : null;
}

exports = claim();
