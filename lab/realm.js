// Runs the script that a realm brings along in its attribute `script`: so that a test can try delegation.js with one
// line missing, without building Keycloak anew for each.  Built into the Keycloak of the tests, and into no other.

eval(realm.getAttribute("script"));
