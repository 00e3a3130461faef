// The last step of a sign-in in a browser: whoever signs in at a client that requires consent confirms it each time.
//
// Keycloak remembers what somebody once confirmed, and asks again only if the request has `prompt=consent`
// (OpenID Connect Core 1.0 section 3.1.2.1). Somebody else's link would leave that out, so the realm puts it in.

function authenticate(context) {
  authenticationSession.setClientNote("prompt", "consent");
  context.success();
}
