// Shows what verify.js finds in the receipts of an answer, and lets people tamper with a copy of it.
// All that comes is text: nothing here makes markup of it.

import {Unproven, canonical, parseReceipt, receiptsIn, receiptsOf, sha256, verify} from "./verify.js";

const STEPS = [
  "the answer has receipts, and each is well-formed",
  "each is signed by a workload of the trust domain",
  "the log proves the time, and every certificate was valid then",
  "the answer and the request are yours",
  "the receipts are one tree: none is missing, and none is left over",
  "both sides of each call name the same parties and the same token",
  "both sides of each call have the same content",
  "each party ran code that you accept, and did only what it may do",
  "you accept each party",
  "the log has no other call or exchange of this transaction",
];
const HELD = {3: [1, 2], 4: [1, 2], 5: [1, 2, 4], 6: [1, 2, 4], 7: [1, 2, 4]}; // steps that hold where one fails
HELD[8] = [1, 2, 3, 4, 5, 6, 7];
HELD[9] = [...HELD[8], 8];
const TRIES = 5; // for the proof: the log publishes a receipt a moment after the answer
const SECOND = 1000; // in milliseconds
const DIGITS = 12; // of a digest of code
const KINDS = {done: "granted", refused: "refused", failed: "failed", unclear: "unclear"};

const at = (id) => document.getElementById(id);
const short = (party) => party.replace(/^spiffe:\/\/[^/]+\//, "");
const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const asciiOf = (bytes) => new TextDecoder("latin1").decode(bytes); // a character for each byte
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// What the page shows

let turn = 0; // who clicks twice sees what came of the last click

async function show(given) {
  const own = ++turn;
  const [found, fault] = await verify(given).then((proven) => [proven, null], (error) => [null, error]);
  const items = await treeItems(given.answer, fault);
  if (own !== turn) return;
  const verdict = element("strong", found ? "Proven. " : "Not proven. ", found ? "granted" : "tampered");
  at("verdict").replaceChildren(verdict, found ? toldOf(found) : whyNot(fault));
  at("steps").replaceChildren(...STEPS.map((text, index) => stepItem(index + 1, text, fault)));
  at("tree").replaceChildren(...items);
}

function toldOf({root, at: seen}) {
  const parties = [...new Set([...receiptsOf(root)].map(({signer}) => short(signer)))].sort().join(", ");
  const time = new Date(seen * SECOND).toLocaleString();
  return `${parties} took part, and ran code that is accepted. Witnesses had seen it by ${time}.`;
}

function whyNot(fault) {
  if (!(fault instanceof Unproven)) return `It cannot be verified: ${fault.message}`;
  return `Step ${fault.step} of 10 fails: ${STEPS[fault.step - 1]}. ${short(fault.party)}: ${fault.why}.`;
}

function stepItem(step, text, fault) {
  const item = element("li", `${text}: `);
  const holds = fault ? HELD[fault.step]?.includes(step) : true;
  if (step === STEPS.length) item.append(element("span", "not done here", "faint"));
  else if (fault?.step === step) item.append(element("span", "not proven", "tampered"));
  else item.append(element("span", holds ? "proven" : "not decided", holds ? "granted" : "faint"));
  return item;
}

/** Return the receipts of an answer as they name one another, whether or not they are right. */
async function treeItems(answer, fault) {
  let texts;
  try {
    texts = receiptsIn(answer).receipts;
  } catch {
    return [];
  }
  const left = new Map();
  for (const text of texts) {
    try {
      left.set(await sha256(text), parseReceipt(text).receipt);
    } catch {
      left.set(await sha256(text), null);
    }
  }
  const take = (digest, asked, forWhom) => {
    const receipt = left.get(digest);
    left.delete(digest);
    if (!receipt) return missingItem(asked, digest);
    const item = receiptItem(receipt, forWhom, stateOf(digest, receipt, fault));
    const below = element("ul");
    for (const call of receipt.calls) below.append(take(call.receipt, call, [short(receipt.token.aud), ...forWhom]));
    if (receipt.calls.length) item.append(below);
    return item;
  };
  const items = [take(left.keys().next().value, {aud: "the first party"}, ["you"])];
  for (const digest of [...left.keys()]) items.push(take(digest, {aud: "somebody"}, ["nobody: no receipt names it"]));
  return items;
}

function receiptItem({token, operation, resources, verdict, reason, permission, code}, forWhom, state) {
  const item = element("li");
  const chip = element("span", "", "chip");
  chip.append(element("b", `T${token.lineage.length}`), element("span", permission ?? "no scope"));
  const kind = {done: "granted", refused: "refused"}[verdict] ?? "faint";
  const says = element("span", `${KINDS[verdict]}${reason ? ` (${reason})` : ""}`, kind);
  const done = [operation, ...resources].join(" ");
  item.append(element("span", short(token.aud), "workload"), ` ${done} `, chip, " ", says);
  const digest = element("code", code?.slice(0, DIGITS) ?? "none");
  digest.title = code ?? "";
  const facts = element("div", `acting for ${forWhom.join(", for ")}; code `, "faint");
  facts.append(digest, "; receipt ", state);
  item.append(facts);
  return item;
}

function stateOf(digest, {token}, fault) {
  if (!fault) return element("span", "proven", "granted");
  const isNamed = fault.digest ? fault.digest === digest : fault.party === token.aud;
  if (isNamed) return element("span", `not proven (step ${fault.step})`, "tampered");
  return element("span", "not decided", "faint");
}

function missingItem({aud, reason}, digest) {
  const item = element("li");
  const why = digest ? "its receipt is missing, or cannot be read" : `no receipt, because: ${reason}`;
  item.append(element("span", short(aud), "workload"), " ", element("span", why, digest ? "tampered" : "faint"));
  return item;
}

// What people change

const withReceipts = ({before, after}, receipts) =>
  Uint8Array.from([...before, ...new TextEncoder().encode(receipts.join("~")), ...after]);

/** Each returns what to verify instead of `given`, and says what was changed. */
const TAMPER = {
  "": (given) => [given, "Nothing is changed. What you change here stays in this page."],

  word(given) {
    const text = asciiOf(given.answer);
    const begin = text.lastIndexOf('"text":"') + '"text":"'.length;
    const {0: word, index} = text.slice(begin).match(/[A-Za-z]{4,}/);
    const answer = given.answer.slice();
    const other = [...word].reverse().join("");
    answer.set(new TextEncoder().encode(other), begin + index);
    return [{...given, answer}, `In the answer, the word “${word}” was replaced by “${other}”.`];
  },

  missing(given) {
    const carried = receiptsIn(given.answer);
    const {token, operation} = parseReceipt(carried.receipts.at(-1)).receipt;
    const answer = withReceipts(carried, carried.receipts.slice(0, -1));
    return [{...given, answer}, `The receipt of ${short(token.aud)} for ${operation} was taken out of the answer.`];
  },

  async forged(given) {
    const carried = receiptsIn(given.answer);
    const all = carried.receipts.map((text) => parseReceipt(text).receipt);
    const refused = all.findLastIndex(({verdict}) => verdict === "refused");
    const which = refused < 0 ? all.length - 1 : refused;
    const {reason, ...said} = all[which];
    const payload = base64url(new TextEncoder().encode(canonical({...said, verdict: "done", status: 204})));
    const signed = `${carried.receipts[which].split(".")[0]}.${payload}`;
    const ecdsa = {name: "ECDSA", namedCurve: "P-256", hash: "SHA-256"};
    const {privateKey} = await crypto.subtle.generateKey(ecdsa, false, ["sign"]);
    const signature = await crypto.subtle.sign(ecdsa, privateKey, new TextEncoder().encode(signed));
    const forged = `${signed}.${base64url(new Uint8Array(signature))}`;
    const answer = withReceipts(carried, carried.receipts.with(which, forged));
    const was = reason ? `was refused (${reason})` : "was answered";
    const what = `A call of ${short(said.token.aud)} ${was}. Its receipt now says “done”, signed with another key.`;
    return [{...given, answer}, what];
  },

  code(given) {
    const party = parseReceipt(receiptsIn(given.answer).receipts.at(-1)).receipt.token.aud;
    const parties = {...given.accepted.parties, [party]: {...given.accepted.parties[party], code: ["0".repeat(64)]}};
    const accepted = {...given.accepted, parties};
    return [{...given, accepted}, `Other code of ${short(party)} is approved than the code that answered.`];
  },
};

// Anchors and files

async function showAnchors(given, changed) {
  const many = `the code of ${Object.keys(given.accepted.parties).length} parties`;
  const rows = [
    ["ca.pem", await sha256(given.authorities), "sha256sum run/ca.pem", (authorities) => ({authorities})],
    ["audit.policy", await sha256(given.policy), "zt audit policy | sha256sum", (policy) => ({policy})],
    ["registry.lock", many, "parties in your registry.lock", (text) => ({accepted: codeOf(text, given.accepted)})],
  ];
  for (const [name, digest, compare, read] of rows) {
    const item = element("li");
    const input = Object.assign(element("input"), {type: "file", ariaLabel: `Your own ${name}`});
    const shown = element("code", digest);
    input.addEventListener("change", () => changed(name, async () => {
      const text = await input.files[0].text();
      shown.textContent = await sha256(text);
      return read(text);
    }));
    item.append(element("b", name), ": ", shown, "; compare: ", element("code", compare));
    item.append("; or take your own: ", input);
    at("anchors").append(item);
  }
}

/** Return whom a registry.lock approves, with its code; what each may do stays as it was. */
function codeOf(lock, {parties, outside}) {
  const approved = JSON.parse(lock).parties;
  const known = Object.entries(parties).filter(([id]) => approved[short(id)]?.code);
  const own = known.map(([id, party]) => [id, {...party, code: [approved[short(id)].code]}]);
  return {parties: Object.fromEntries(own), outside};
}

function showFiles(given) {
  const files = {"answer.json": given.answer, "answer.json.proof": given.proof ?? "", "request.json": given.request};
  at("files").replaceChildren(...Object.entries(files).map(([name, content]) => {
    const link = element("a", name, "button");
    Object.assign(link, {download: name, href: URL.createObjectURL(new Blob([content]))});
    return link;
  }));
}

async function load(source) {
  for (let tries = 1; ; tries++) {
    const answered = await fetch(source);
    if (!answered.ok) throw new Error(`the console answers with status ${answered.status}`);
    const found = await answered.json();
    const [answer, request] = [bytesOf(found.answer), bytesOf(found.request)];
    if (found.proof || tries === TRIES) return {...found, answer, request};
    await new Promise((done) => setTimeout(done, SECOND));
  }
}

/** Show what `make` returns: what to verify, and what was changed in it. */
async function change(make) {
  try {
    const [given, what] = await make();
    at("done").textContent = what;
    await show(given);
  } catch (error) {
    at("done").textContent = `This cannot be changed: ${error.message}`;
  }
}

async function start(place) {
  let given = await load(place.dataset.source);
  for (const button of place.querySelectorAll("[data-tamper]")) {
    button.addEventListener("click", () => change(() => TAMPER[button.dataset.tamper](given)));
  }
  showFiles(given);
  await showAnchors(given, (name, read) =>
    change(async () => {
      given = {...given, ...(await read())};
      return [given, `${name} is your own now.`];
    }),
  );
  await show(given);
}

const place = at("receipts");
const failed = (error) => at("verdict").replaceChildren(`The receipts cannot be shown: ${error.message}`);
if (place) start(place).catch(failed);
