// Who acts for whom: the nested `act` claim (RFC 8693 section 4.1), which Keycloak 26.7 does not write by itself. The
// realm's attribute `chain_claim` can give it another name: Keycloak 26.8 exchanges no token with `act` at its top.
//
// Keycloak runs this for every token that a workload gets by exchange, after it has verified the subject token and the
// workload's own credential, and before it signs. The value of the last line becomes that claim. Besides:
//
//   lineage   the ids of the tokens this one comes from, root first: revoke any of them and this one falls too
//   txn       the first of them, which names the whole transaction
//   root      whom that one was issued to (`azp`) and when (`iat`): revoke the client, or all tokens until a time, and
//             nothing gets away by an exchange
//   client_id the same as `azp` (RFC 9068 section 2.2): a mapper of the client itself is not run for an exchange
//   groups    no group that the subject token does not name; and one alone where `requested_department` asks for it
//   exp       never past the subject token's end, and earlier still where `requested_lifetime` asks for it
//
// A script that throws does not stop Keycloak: the token goes out all the same, without the claim. Whoever holds it could
// exchange it again, and the result would look as if nobody had been in the chain before. So the token is dead first,
// and comes alive in the last step, after every check. A dead one opens nothing, and Keycloak will not exchange it.

var AccessToken = Java.type("org.keycloak.representations.AccessToken");
var ArrayList = Java.type("java.util.ArrayList");
var LinkedHashMap = Java.type("java.util.LinkedHashMap");

var EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
var MAX_ACTORS = 8;
var CHAIN = keycloakSession.getContext().getRealm().getAttribute("chain_claim");

var context = keycloakSession.getContext();
var form = context.getHttpRequest().getDecodedFormParameters();

// Verifies the signature once more: in other grants a form field of this name could hold anything.
function decoded(field) {
  return keycloakSession.tokens().decode(form.getFirst(field), AccessToken.class);
}

function require(condition, otherwise) {
  if (!condition) throw otherwise;
}

// The actors of a chain, the current one first.
function actorsOf(act) {
  var actors = [];
  for (var link = act; link != null; link = link.get("act")) actors.push(link.get("sub"));
  return actors;
}

function mayExchange(clientId) {
  var client = context.getRealm().getClientByClientId(clientId);
  return client == null || client.getAttribute("standard.token.exchange.enabled") == "true";
}

// The user's groups of now, of the subject token, and of the wish: only what is in all of them.
function narrowed(subject) {
  var groups = new ArrayList();
  var now = token.getOtherClaims().get("groups");
  var before = subject.getOtherClaims().get("groups");
  var wanted = form.getFirst("requested_department"); // not a standard field
  if (now != null && before != null) groups.addAll(now);
  if (before != null) groups.retainAll(before);
  if (wanted != null) {
    require(groups.contains(wanted), "not of that department");
    groups.clear();
    groups.add(wanted);
  }
  return groups;
}

function delegate() {
  var ceiling = token.getExp();
  token.exp(1);
  token.getOtherClaims().put("client_id", token.getIssuedFor());

  var subject = decoded("subject_token");
  var holder = subject.getIssuedFor();
  var before = subject.getOtherClaims().get(CHAIN);
  var ancestors = subject.getOtherClaims().get("lineage");
  var actors = actorsOf(before);
  var actor = context.getClient().getClientId();

  // Keycloak lets a workload exchange a token of its own. That would restart a chain, so it stays dead.
  require(holder != actor, "own token");
  // Only the token of a client that exchanges nothing starts a chain; any other came from an exchange, and must say so.
  require(before != null || !mayExchange(holder), "chain missing");
  require(before == null || actors[0] == holder, "chain broken");
  require((ancestors == null ? 0 : ancestors.size()) == actors.length, "lineage broken");
  require(actors.indexOf(actor) < 0, "actor repeated");
  require(actors.length < MAX_ACTORS, "chain too deep");

  // Without a wish for one, or with several, the token would be good at several doors.
  require(form.get("audience") != null && form.get("audience").size() == 1, "not one audience");

  var lineage = new ArrayList();
  if (ancestors != null) lineage.addAll(ancestors);
  lineage.add(subject.getId());
  token.getOtherClaims().put("lineage", lineage);
  token.getOtherClaims().put("txn", lineage.get(0));

  token.getOtherClaims().put("groups", narrowed(subject));

  var root = subject.getOtherClaims().get("root");
  require((root == null) == (before == null), "root broken");
  if (root == null) {
    root = new LinkedHashMap();
    root.put("azp", holder);
    root.put("iat", subject.getIat());
  }
  token.getOtherClaims().put("root", root);

  var act = new LinkedHashMap();
  act.put("sub", actor);
  if (before != null) act.put("act", before);

  var end = Math.min(ceiling, subject.getExp());
  var wanted = parseInt(form.getFirst("requested_lifetime")); // seconds, not a standard field; anything odd is no wish
  if (wanted > 0) end = Math.min(end, token.getIat() + wanted);
  token.exp(end); // alive
  return act;
}

// Introspection builds its answer anew; what this script once wrote is copied from the token asked about.
function repeat() {
  var asked = decoded("token");
  if (asked == null) return null;
  ["lineage", "txn", "root", "groups"].forEach(function (claim) {
    var value = asked.getOtherClaims().get(claim);
    if (value != null) token.getOtherClaims().put(claim, value);
  });
  return asked.getOtherClaims().get(CHAIN);
}

// An ID token opens nothing here. But Keycloak ends the session that it names for anybody who shows it (OpenID Connect
// RP-Initiated Logout 1.0 section 2, `id_token_hint`), and an agent must not end its user's session: so it names none.
function identify() {
  token.setSessionId(null);
  return null;
}

function claim() {
  if (form.getFirst("grant_type") == EXCHANGE) return token instanceof AccessToken ? delegate() : identify();
  if (form.getFirst("grant_type") == null && form.getFirst("token") != null) return repeat();
  return null;
}

exports = claim();
