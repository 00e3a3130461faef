// Verifies who took part in the task of an answer: steps 1 to 9 of docs/reference/receipts.md, from bytes alone.
//
//   const {root, at} = await verify({answer, request, proof, authorities, policy, accepted});
//
// It names the same first fault as `zt receipt verify`, with step and party, and asks no server.  Step 10 takes an
// export of the log, and is not done here.  Web Crypto does the hashes and the signatures.

const SOMEBODY = "a party without a name";
const [SKEW, LONGEST_TASK, LONGEST_CERTIFICATE] = [5, 300, 125]; // seconds: between clocks, of a task, of an SVID
const [MOST_RECEIPTS, MOST_CERTIFICATES, MAX_DEPTH] = [256, 4, 16]; // of an answer, of a receipt, of calls
const MAX_VALUE = 512 * 1024; // bytes of all receipts of an answer

/** The first fault: its `step`, from 1, its `party`, and `why` without a full stop. */
export class Unproven extends Error {
  constructor(step, party, why) {
    super(`step ${step}: ${party}: ${why}`);
    Object.assign(this, {step, party, why});
  }
}

const must = (holds, step, party, why) => {
  if (!holds) throw new Unproven(step, party, why);
};

/**
 * Return the tree of receipts, and when enough witnesses had seen the first one.  Throws `Unproven`.
 *
 * `answer`, `request`: bytes, as they were received and sent.  `proof`: the text of GET /receipts/DIGEST.
 * `authorities`: PEM.  `policy`: of the log, as text.  `accepted`: `parties`, by SPIFFE ID, each with `code`,
 * `permissions` and `clients`; and `outside`, the servers that are no parties.  `request`, `transaction` and
 * `permissions` may be null, and are then not compared.
 */
export async function verify({answer, request, transaction, proof, authorities, policy, accepted}) {
  const carried = receiptsIn(answer);
  const receipts = await verifyEach(carried.receipts, certificatesIn(authorities));
  const at = await checkLogged(receipts[0], proof, policy);
  await checkMine(receipts[0], carried.content, request, transaction);
  const root = buildTree(receipts);
  checkTimes(root);
  const all = [...receiptsOf(root)];
  all.forEach((one) => checkCode(one, accepted));
  all.forEach((one) => checkAccepted(one, accepted));
  checkEntryParty(root, accepted);
  return {root, at};
}

// Bytes

export const utf8 = (text) => new TextEncoder().encode(text);
const textOf = (bytes) => new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(bytes);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const fromBase64url = (text) =>
  strictBase64(text.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat(-text.length & 3));
const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const fail = (why) => {
  throw new Error(why); // what it means for the receipt is said where it is caught
};
const digestOf = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/** Return the SHA-256 of bytes or of an ASCII text, in hexadecimal. */
export const sha256 = async (content) => hex(await digestOf(typeof content === "string" ? utf8(content) : content));

/** Decode base64 that has one spelling (RFC 4648 sections 3.5 and 4). */
const strictBase64 = (text) => (btoa(atob(text)) === text ? fromBase64(text) : fail("base64 in another spelling"));

/** Return the canonical form of a JSON value (RFC 8785).  The names here are ASCII. */
export function canonical(value) {
  if (Object(value) !== value) return JSON.stringify(value); // no object, and no array
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}

/** Parse a text in canonical form: no other one has a member twice, or a number that is rounded. */
function parseCanonical(text) {
  const value = JSON.parse(text);
  return canonical(value) === text ? value : fail("not in canonical form");
}

// Step 1: the form of a receipt

const matches = (pattern) => (value) => typeof value === "string" && pattern.test(value);
const integer = (least, most) => (value) => Number.isInteger(value) && least <= value && value <= most;
const list = (form, most = Infinity) => (value) => Array.isArray(value) && value.length <= most && value.every(form);
const object = (always, sometimes = {}) => {
  const forms = new Map(Object.entries({...always, ...sometimes}));
  return (value) =>
    value !== null && typeof value === "object" &&
    Object.keys(always).every((name) => Object.hasOwn(value, name)) &&
    Object.entries(value).every(([name, one]) => forms.get(name)?.(one));
};
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/;
const [id, spiffe, sha] = [matches(/^[\x21-\x7e]+$/), matches(SPIFFE_ID), matches(/^[0-9a-f]{64}$/)];
const [ascii, code] = [matches(/^[\x20-\x7e]*$/), matches(/^[a-z][a-z_]{0,63}$/)];
const anyText = (value) => typeof value === "string" && value.isWellFormed();
const seconds = integer(0, 253402300799);
const call = object({aud: id}, {token: id, request: sha, answer: sha, receipt: sha, reason: code});
const isReceipt = object(
  {
    id: matches(/^[0-9a-f]{32}-[0-9a-f]{16}$/),
    txn: id,
    began: seconds,
    iat: seconds,
    token: object({jti: id, azp: id, aud: spiffe, lineage: list(id)}),
    answer: sha,
    status: integer(0, 999),
    verdict: (value) => ["done", "refused", "failed", "unclear"].includes(value),
    operation: ascii,
    resources: list(ascii, 256),
    policy: anyText,
    calls: list((one) => call(one) && Object.hasOwn(one, "receipt") !== Object.hasOwn(one, "reason"), 256),
  },
  {
    caller: spiffe,
    request: sha,
    reason: code,
    permission: anyText,
    code: sha,
    journal: object({n: integer(1, Number.MAX_SAFE_INTEGER), sha256: sha}),
  },
);

/** Take the receipts out of an answer: the bytes `before` and `after` them, `content` without them, `receipts`. */
export function receiptsIn(answer) {
  const text = new TextDecoder("latin1").decode(answer); // a character for each byte
  const [place, ...more] = text.matchAll(/"(?:urn:zerotrust:receipts:v1|zerotrust\/receipts|receipts)":"/g);
  const begin = place ? place.index + place[0].length : 0;
  const end = text.indexOf('"', begin);
  const value = text.slice(begin, end);
  const receipts = value.split("~");
  const isOne = place && !more.length && end > 0 && value.length <= MAX_VALUE && receipts.length <= MOST_RECEIPTS;
  const areGood = receipts.every((one) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(one));
  must(isOne && areGood, 1, SOMEBODY, "the answer has no receipts; it has to be as it came, byte for byte");
  const [before, after] = [answer.slice(0, begin), answer.slice(end)];
  return {before, after, content: joined(before, after), receipts};
}

/** Return what a receipt says, its certificates, the bytes that were signed, and the signature: nothing is verified. */
export function parseReceipt(text) {
  const [header, payload, signature] = text.split(".");
  const [head, said] = [header, payload].map((part) => textOf(fromBase64url(part)));
  const {x5c} = parseCanonical(head);
  if (head !== canonical({alg: "ES256", typ: "receipt+jwt", x5c})) fail("another header than that of a receipt");
  const receipt = parseCanonical(said);
  if (!isReceipt(receipt)) fail("another form");
  return {receipt, x5c, signed: utf8(`${header}.${payload}`), signature};
}

/** Verify each receipt.  If one is faulty, the receipt of its caller says whose it is. */
async function verifyEach(texts, trusted) {
  const found = [];
  for (const [index, text] of texts.entries()) {
    try {
      found.push(await verifyReceipt(text, trusted));
    } catch (error) {
      if (!found.length) throw error;
      const [digest, place] = [await sha256(text), `receipt ${index + 1} of ${texts.length} in the answer`];
      for (const {signer, receipt} of found) {
        const named = receipt.calls.find((one) => one.receipt === digest);
        if (named) throw new Unproven(error.step, named.aud, `${signer} says it gave ${place}: ${error.why}`);
      }
      if (error.step > 1) throw new Unproven(error.step, error.party, `${error.why}; it is ${place}`);
      const why = `it passed on ${place}, which is ${error.why}, and which no receipt names`;
      throw new Unproven(1, found[0].signer, why);
    }
  }
  return found;
}

async function verifyReceipt(text, trusted) {
  let [step, party, what] = [1, SOMEBODY, "not a receipt: "];
  try {
    const {receipt, x5c, signed, signature} = parseReceipt(text);
    [step, party, what] = [2, receipt.token.aud, `in its receipt of ${receipt.operation}, `];
    const {signer, leaf} = await signerOf(x5c, trusted, receipt.iat);
    if (!(await signedBy(leaf.key, fromBase64url(signature), signed))) fail("the signature is of another key");
    return {signer, receipt, digest: await sha256(text), until: leaf.ends};
  } catch (error) {
    throw new Unproven(step, party, what + error.message);
  }
}

// Step 2: X.509 (RFC 5280), as much of it as SVIDs need (SPIFFE X509-SVID): P-256 with SHA-256 only

const ECDSA_WITH_SHA256 = "300a06082a8648ce3d040302";
const READ = {"551d13": "constraints", "551d0f": "usage", "551d11": "names", "551d25": "usages"}; // id-ce-…
const [CLIENT_AUTHENTICATION, TRUE] = ["06082b06010505070302", "0101ff"];
const [URI, EXTENSIONS] = [0x86, 0xa3]; // tags, each in its context

/** Return the elements in DER, one after another (X.690 section 10.1: lengths are definite and minimal). */
function elements(der) {
  const found = [];
  for (let at = 0; at < der.length; ) {
    const start = at;
    let length = der[at + 1];
    at += 2;
    if (length >= 0x80) {
      const bytes = der.subarray(at, at + length - 0x80);
      length = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
      at += bytes.length;
      if (length < 0x80 || bytes[0] === 0) fail("not DER");
    }
    if (!(at + length <= der.length)) fail("not DER");
    found.push({tag: der[start], content: der.subarray(at, at + length), whole: der.subarray(start, at + length)});
    at += length;
  }
  return found;
}

function certificateOf(der) {
  const [{content}, ...more] = elements(der);
  const [tbs, algorithm, {content: signature}] = elements(content);
  const [version, , inner, issuer, validity, subject, key, ...rest] = elements(tbs.content);
  if (more.length || hex(version.whole) !== "a003020102") fail("not one certificate of version 3");
  if ([algorithm, inner].some(({whole}) => hex(whole) !== ECDSA_WITH_SHA256)) fail("another algorithm");
  const [begins, ends] = elements(validity.content).map(timeOf);
  const names = {issuer: hex(issuer.whole), subject: hex(subject.whole)};
  const extensions = extensionsOf(rest.find(({tag}) => tag === EXTENSIONS));
  return {der: hex(der), tbs: tbs.whole, signature, ...names, begins, ends, key: key.whole, ...extensions};
}

function extensionsOf(element) {
  const found = {};
  for (const {content} of element ? elements(elements(element.content)[0].content) : []) {
    const parts = elements(content);
    const [name, isCritical] = [READ[hex(parts[0].content)], parts.length > 2];
    if (name ? name in found : isCritical) fail("a certificate with an extension that is not understood");
    if (name) found[name] = elements(parts.at(-1).content)[0].content;
  }
  const {constraints = [], usage = [], names = [], usages} = found;
  const [authority = {whole: []}, length] = elements(constraints);
  const isClient = !usages || elements(usages).some(({whole}) => hex(whole) === CLIENT_AUTHENTICATION);
  return {
    certifies: hex(authority.whole) === TRUE && (usage[1] & 0x04) !== 0,
    isAuthority: authority.whole.length > 0,
    pathLength: length ? length.content.reduce((sum, byte) => sum * 256 + byte, 0) : Infinity,
    signs: (usage[1] & 0x80) !== 0 && isClient,
    uris: elements(names).flatMap(({tag, content}) => (tag === URI ? [textOf(content)] : [])),
  };
}

/** Return a time in seconds since the epoch (RFC 5280 section 4.1.2.5). */
function timeOf({tag, content}) {
  const text = textOf(content);
  const whole = tag === 0x17 ? `${text < "50" ? "20" : "19"}${text}` : text;
  const parts = whole.match(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).slice(1).map(Number);
  return Date.UTC(parts[0], parts[1] - 1, ...parts.slice(2)) / 1000;
}

function certificatesIn(pem) {
  const found = pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g);
  return Array.from(found, ([, content]) => certificateOf(fromBase64(content)));
}

/** Return the SPIFFE ID and the certificate of an `x5c` header's signer, if they were valid at that time. */
async function signerOf(x5c, trusted, at) {
  if (!Array.isArray(x5c) || x5c.length < 1 || x5c.length > MOST_CERTIFICATES) fail("it has no certificates");
  const chain = x5c.map((entry) => certificateOf(strictBase64(entry)));
  const [leaf] = chain;
  if (!chain.every(({begins, ends}) => begins <= at && at < ends)) fail("a certificate was not valid at that time");
  for (const [depth, certificate] of chain.entries()) {
    const issuers = depth + 1 < chain.length ? [chain[depth + 1]] : trusted;
    const checked = await Promise.all(issuers.map((issuer) => certifies(issuer, certificate, depth, at)));
    if (!checked.includes(true)) fail("the certificate is not of this trust domain's authority");
  }
  if (leaf.isAuthority || !leaf.signs) fail("the certificate's key is not for signing");
  if (leaf.uris.length !== 1 || !SPIFFE_ID.test(leaf.uris[0])) fail("not exactly one SPIFFE ID");
  if (leaf.ends - leaf.begins > LONGEST_CERTIFICATE) fail("its certificate lives too long");
  return {signer: leaf.uris[0], leaf};
}

/** Return whether an issuer has certified a certificate with `depth` others below it (RFC 5280 section 6.1). */
async function certifies(issuer, certificate, depth, at) {
  const may = issuer.certifies && issuer.pathLength >= depth && issuer.begins <= at && at < issuer.ends;
  if (!may || issuer.subject !== certificate.issuer || issuer.der === certificate.der) return false;
  const numbers = elements(elements(certificate.signature.subarray(1))[0].content); // after the unused bits: none
  const raw = numbers.map(({content}) => hex(content).replace(/^00/, "").padStart(64, "0")).join("");
  return signedBy(issuer.key, Uint8Array.from(raw.match(/../g), (byte) => parseInt(byte, 16)), certificate.tbs);
}

async function signedBy(spki, signature, content) {
  const key = await crypto.subtle.importKey("spki", spki, {name: "ECDSA", namedCurve: "P-256"}, false, ["verify"]);
  return crypto.subtle.verify({name: "ECDSA", hash: "SHA-256"}, key, signature, content);
}

// Step 3: the log and its witnesses say when (c2sp.org/tlog-proof, tlog-checkpoint, tlog-cosignature, tlog-policy)

const PROOF = /^c2sp\.org\/tlog-proof@v1\n(?:extra .*\n)?index (0|[1-9]\d{0,15})\n((?:[\w+/]{43}=\n){0,63})\n([^]+)$/;

async function checkLogged({signer, digest, receipt, until}, proof, policy) {
  const {event, at} = await checkProof(proof, policy).catch((error) => {
    if (error.name === "NotSupportedError") throw error; // the browser has no Ed25519
    throw new Unproven(3, signer, `the log does not prove its receipt: ${error.message}`);
  });
  const isOfIt = event.data?.type === "outcome" && event.service === signer && event.data.receipt === digest;
  must(isOfIt, 3, signer, "the proof is about another receipt");
  must(at >= receipt.iat - SKEW, 3, signer, "the witnesses saw its receipt before it was signed");
  must(at <= until, 3, signer, `the witnesses first saw its receipt ${at - until} s after its certificate ended`);
  return at;
}

/** Return the event of an entry that is proven to be in the log, and when the quorum was complete. */
async function checkProof(evidence, policyText) {
  const {entry, proof} = JSON.parse(evidence ?? fail("there is no proof"));
  const policy = policyOf(policyText);
  const [, number, hashes, checkpoint] = proof.match(PROOF);
  const {size, root, times} = await checkNote(checkpoint, policy);
  let [here, last, found] = [Number(number), size - 1, await digestOf(joined([0], utf8(entry)))];
  if (here > last) fail(`a log of ${size} entries has no entry ${here}`);
  for (const hash of hashes.split("\n").filter(Boolean).map(strictBase64)) {
    if (last === 0) fail("the inclusion proof is too long"); // RFC 9162 section 2.1.3.2
    const isRight = here % 2 === 1 || here === last;
    found = await digestOf(isRight ? joined([1], hash, found) : joined([1], found, hash));
    while (isRight && here > 0 && here % 2 === 0) [here, last] = [here / 2, Math.floor(last / 2)];
    [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
  }
  if (last !== 0 || hex(found) !== root) fail("the entry is not in the tree of this root");
  const [, event] = entry.match(/^\{"event":(\{.*\}),"n":[1-9]\d*,"prev":"[0-9a-f]{64}"\}$/);
  return {event: parseCanonical(event), at: quorumTime(policy, times)};
}

/** Return size and root of a checkpoint that a log signed, and when each witness of the policy cosigned it. */
async function checkNote(note, policy) {
  const end = note.lastIndexOf("\n\n") + 1;
  const [text, signatures] = [note.slice(0, end), note.slice(end + 1)];
  const [, origin, size, root] = text.match(/^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/);
  if (!/^(— [^\s+]{1,200} [A-Za-z0-9+/=]+\n)+$/.test(signatures)) fail("not a signed checkpoint");
  const lines = signatures.trimEnd().split("\n").map((line) => line.split(" "));
  const values = lines.map(([, name, value]) => ({name, value: strictBase64(value)}));
  const by = (key) => values.filter((one) => one.name === key.name && hex(one.value.subarray(0, 4)) === key.id);
  const logs = policy.logs.filter((key) => key.name === origin && by(key).length);
  if (!logs.length) fail(`the checkpoint of ${origin} is signed by no log of the policy`);
  for (const key of logs) {
    for (const {value} of by(key)) await checkEd25519(key, value.subarray(4), text);
  }
  const times = new Map();
  for (const [name, key] of policy.witnesses) {
    for (const {value} of by(key)) {
      const time = Number(new DataView(value.buffer).getBigUint64(4));
      await checkEd25519(key, value.subarray(12), `cosignature/v1\ntime ${time}\n${text}`);
      times.set(name, Math.min(time, times.get(name) ?? Infinity));
    }
  }
  return {size: Number(size), root: hex(strictBase64(root)), times};
}

async function checkEd25519({name, key}, signature, text) {
  const found = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  if (!(await crypto.subtle.verify("Ed25519", found, signature, utf8(text)))) fail(`it is not signed by ${name}`);
}

/** Parse a policy: logs, witnesses and the quorum. */
function policyOf(text) {
  const found = {logs: [], witnesses: new Map(), quorum: null};
  for (const [word, ...items] of text.split("\n").map((line) => line.trim().split(/[ \t]+/))) {
    if (word === "log") found.logs.push(keyOf(items[0], 1));
    else if (word === "witness") found.witnesses.set(items[0], keyOf(items[1], 4));
    else if (word === "quorum" && found.quorum === null) [found.quorum] = items;
    else if (word && !word.startsWith("#")) fail(`the policy has another line: ${word}`);
  }
  return found;
}

/** Parse a verifier key (c2sp.org/signed-note): its name, the id that signatures have, and 32 bytes. */
function keyOf(text, kind) {
  const [, name, id, encoded] = text.match(/^([^\s+]{1,200})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/);
  const [type, ...key] = strictBase64(encoded);
  if (type !== kind || key.length !== 32) fail(`the key of ${name} is of another type`);
  return {name, id, key: Uint8Array.from(key)};
}

/** Return when the demanded witness cosigned. */
function quorumTime({quorum}, times) {
  return times.get(quorum) ?? fail(`too few witnesses: ${quorum} has not cosigned it`);
}

function checkTimes(caller) {
  const took = caller.receipt.iat - caller.receipt.began;
  must(took <= LONGEST_TASK, 3, caller.signer, `its call took longer than ${LONGEST_TASK} s`);
  for (const above of receiptsOf(caller)) {
    for (const {signer, receipt: {began, iat}} of above.below) {
      const isDuring = above.receipt.began - SKEW <= began && began <= iat && iat <= above.receipt.iat + SKEW;
      must(isDuring, 3, signer, `its call was not during that of ${above.signer}`);
    }
  }
}

// Step 4: mine

async function checkMine({signer, receipt}, content, request, transaction) {
  must((await sha256(content)) === receipt.answer, 4, signer, "this is not the answer that it signed, byte for byte");
  must(!request || isOf(receipt, await sha256(request)), 4, signer, "it answered another request");
  must(!transaction || transaction === receipt.txn, 4, signer, "it answered in another transaction");
}

/** Return whether a receipt can be of this request: one that was refused was perhaps not read to its end. */
function isOf(receipt, request) {
  const isUnread = receipt.request === undefined && receipt.verdict === "refused" && !receipt.calls.length;
  return isUnread || receipt.request === request;
}

// Steps 5 to 7: one tree, in which both sides of each call agree

/** Yield the receipts of a tree, a caller before those that it called. */
export function* receiptsOf(tree) {
  yield tree;
  for (const one of tree.below) yield* receiptsOf(one);
}

function buildTree(receipts) {
  const [root] = receipts;
  const left = new Map(receipts.map((one) => [one.digest, one]));
  must(left.size === receipts.length, 5, root.signer, "the answer has a receipt twice");
  left.set(root.digest, null);
  const {token, txn, caller} = root.receipt;
  const isUsers = !token.lineage.length && token.jti === txn && token.aud === root.signer;
  must(isUsers, 6, root.signer, "it was not called with a token that a user signed in for");
  must([undefined, token.azp].includes(caller), 6, root.signer, "it was called with a token of another party");
  const tree = attachCalls(root, left, MAX_DEPTH);
  const extra = [...left.values()].find(Boolean);
  must(!extra, 5, extra?.signer, "its receipt is in the answer, and no receipt names it");
  return tree;
}

/** Take the receipts of a party's calls, and of theirs, out of `left`, where null replaces them. */
function attachCalls(caller, left, depth) {
  const below = [];
  for (const asked of caller.receipt.calls) {
    const {aud, receipt: name} = asked;
    if (name === undefined) {
      checkMissing(caller, asked);
      continue;
    }
    const called = left.get(name);
    must(called !== undefined, 5, caller.signer, `the receipt of its call of ${aud} is not in the answer`);
    must(called !== null, 5, aud, `${caller.signer} says that it gave the receipt of another call`);
    left.set(name, null);
    checkCall(caller, asked, called);
    must(depth > 0, 5, caller.signer, `more than ${MAX_DEPTH} calls below one another`);
    below.push(attachCalls(called, left, depth - 1));
  }
  return {...caller, below};
}

function checkMissing({signer}, {aud, request, reason}) {
  const nothingSent = request === undefined || reason === "not_sent";
  const isOutside = reason === "outside" && !aud.includes("://");
  must(nothingSent || isOutside, 5, aud, `${signer} called it and has no receipt of it: ${reason}`);
}

function checkCall({signer, receipt: above}, asked, {signer: called, receipt: below}) {
  must(asked.aud === called, 6, asked.aud, `${signer} says that it gave a receipt of ${called} as its own`);
  const agrees = (what, one, other) => must(one === other, 6, called, `${signer} and its receipt differ in ${what}`);
  agrees("the transaction", above.txn, below.txn);
  agrees("for whom the token is", asked.aud, below.token.aud);
  agrees("who called", signer, below.caller);
  agrees("to whom the token was issued", signer, below.token.azp);
  agrees("the token", asked.token, below.token.jti);
  agrees("its ancestors", canonical([...above.token.lineage, above.token.jti]), canonical(below.token.lineage));
  const isIts = asked.request !== undefined && isOf(below, asked.request);
  must(isIts, 7, called, `it received another request than ${signer} says to have sent`);
  must(asked.answer === below.answer, 7, signer, `it says to have received another answer than ${called} sent`);
}

// Steps 8 and 9: accepted code, accepted parties

function checkCode({signer, receipt: {code, permission}}, {parties}) {
  if (!Object.hasOwn(parties, signer)) return; // step 9
  const accepted = parties[signer];
  must(accepted.code.includes(code), 8, signer, `it ran code that was not approved: ${code ?? "it names none"}`);
  const mayServe = !accepted.permissions || permission === undefined || accepted.permissions.includes(permission);
  must(mayServe, 8, signer, `it does not serve ${permission}`);
}

function checkAccepted({signer, receipt}, {parties, outside}) {
  must(Object.hasOwn(parties, signer), 9, signer, "it took part, and is not accepted");
  const other = receipt.calls.find(({reason, aud}) => reason === "outside" && !outside.includes(aud));
  must(!other, 9, other?.aud, `${signer} called it outside, and it is not accepted`);
}

function checkEntryParty({signer, receipt: {token}}, {parties}) {
  const {clients} = parties[signer];
  const why = clients.length ? `it was called by ${token.azp}, which is not its client` : "it is no entry party";
  must(clients.includes(token.azp), 9, signer, why);
}
