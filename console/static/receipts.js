// Shows what verify.js finds in the receipts of an answer, and lets people tamper with a copy of it.
// All that comes is text: nothing here makes markup of it.

import {SECOND, by, clock, element} from "./page.js";
import {Unproven, canonical, fromBase64, parseReceipt, receiptsIn, receiptsOf, sha256, utf8, verify} from "./verify.js";

const DIGITS = 12; // of a digest of code
const SIGNS = {done: "granted", refused: "refused"}; // of a verdict; another one has none

const short = (party) => party.replace(/^spiffe:\/\/[^/]+\//, "");
const base64url = (text) =>
  btoa(String.fromCharCode(...utf8(text))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// What was found

let turn = 0; // who clicks twice sees what came of the last click

async function show(given) {
  const own = ++turn;
  const [found, fault] = await verify(given).then((proven) => [proven, null], (error) => [null, error]);
  const items = await treeItems(given.answer, fault);
  if (own !== turn) return;
  const verdict = element("strong", found ? "granted" : "tampered", found ? "Proven. " : "Not proven. ");
  by("verdict").replaceChildren(verdict, found ? toldOf(found) : whyNot(fault));
  for (const place of document.querySelectorAll("[data-step]")) {
    const step = Number(place.dataset.step);
    place.replaceChildren(state(fault?.step === step, !fault || holds(step, fault.step)));
  }
  by("tree").replaceChildren(...items);
}

function toldOf({root, at}) {
  const parties = [...new Set([...receiptsOf(root)].map(({signer}) => short(signer)))].sort().join(", ");
  return `${parties} took part, and ran code that is accepted. Witnesses had seen it by ${clock(at)}.`;
}

function whyNot(fault) {
  if (!(fault instanceof Unproven)) return `It cannot be verified: ${fault.message}`;
  const name = document.querySelector(`[data-step="${fault.step}"]`).previousSibling.textContent;
  return `Step ${fault.step} of 10 fails: ${name}${short(fault.party)}: ${fault.why}.`;
}

/** Return whether a step holds if verify.js names another one: it looks at the times of step 3 after step 7. */
const holds = (step, failed) => (failed > 7 ? step < failed : failed > 2 && (step < 3 || (step === 4 && failed > 4)));

function state(isFaulty, isProven) {
  if (isFaulty) return element("span", "tampered", "not proven");
  return isProven ? element("span", "granted", "proven") : element("span", "faint", "not decided");
}

/** Return the receipts of an answer as they name one another, whether or not they are right. */
async function treeItems(answer, fault) {
  const carried = await Promise.resolve(answer).then(receiptsIn).catch(() => ({receipts: []}));
  const left = new Map();
  for (const text of carried.receipts) {
    const parsed = await Promise.resolve(text).then(parseReceipt).catch(() => ({})); // none, if it cannot be read
    left.set(await sha256(text), parsed.receipt);
  }
  const take = (digest, call, forWhom) => {
    const receipt = left.get(digest);
    left.delete(digest);
    if (!receipt) return missingItem(call);
    const isFaulty = fault?.digest ? fault.digest === digest : fault?.party === receipt.token.aud;
    const below = receipt.calls.map((one) => take(one.receipt, one, [short(receipt.token.aud), ...forWhom]));
    return receiptItem(receipt, forWhom, state(isFaulty, !fault), below);
  };
  const items = [];
  for (const digest of left.keys()) { // those that an earlier one names are taken by then
    items.push(take(digest, {aud: "somebody"}, [items.length ? "nobody: no receipt names it" : "you"]));
  }
  return items;
}

function receiptItem({token, operation, resources, verdict, reason, permission, code}, forWhom, holds, below) {
  const chip = element("span", "chip", element("b", "", `T${token.lineage.length}`), permission ?? "no scope");
  const says = element("span", SIGNS[verdict] ?? "faint", `${verdict}${reason ? ` (${reason})` : ""}`);
  const party = element("span", "workload", short(token.aud));
  const digest = element("code", "", code?.slice(0, DIGITS) ?? "none");
  const facts = element("div", "faint", `acting for ${forWhom.join(", for ")}; code `, digest, "; receipt ", holds);
  const done = [operation, ...resources].join(" ");
  return element("li", "", party, ` ${done} `, chip, " ", says, facts, element("ul", "", ...below));
}

function missingItem({aud, reason}) {
  const why = reason ? `no receipt, because: ${reason}` : "its receipt is missing, or cannot be read";
  const says = element("span", reason ? "faint" : "tampered", why);
  return element("li", "", element("span", "workload", short(aud)), " ", says);
}

// What people change

const withReceipts = ({before, after}, receipts) =>
  Uint8Array.from([...before, ...utf8(receipts.join("~")), ...after]);

/** Each returns what replaces some of what was given, and says what was changed.  `said`: by each receipt. */
const TAMPER = {
  nothing: () => [{}, "Nothing is changed. What you change here stays in this page."],

  word({answer}) {
    const text = new TextDecoder("latin1").decode(answer); // a character for each byte
    const [, before, word] = text.match(/^([^]*"text":"[^]*?)([A-Za-z]{4,})/); // in the last text
    const other = [...word].reverse().join("");
    const changed = answer.slice();
    changed.set(utf8(other), before.length);
    return [{answer: changed}, `In the answer, the word “${word}” was replaced by “${other}”.`];
  },

  missing(given, carried, said) {
    const {token, operation} = said.at(-1);
    const answer = withReceipts(carried, carried.receipts.slice(0, -1));
    return [{answer}, `The receipt of ${short(token.aud)} for ${operation} was taken out of the answer.`];
  },

  forged(given, carried, said) {
    const which = said.findLastIndex(({verdict}) => verdict === "refused"); // if none was, -1: the last one
    const {reason, ...receipt} = said.at(which);
    const [header, , signature] = carried.receipts.at(which).split(".");
    const payload = base64url(canonical({...receipt, verdict: "done", status: 204}));
    const answer = withReceipts(carried, carried.receipts.with(which, `${header}.${payload}.${signature}`));
    const was = reason ? `was refused (${reason})` : "was answered";
    return [{answer}, `A call of ${short(receipt.token.aud)} ${was}. Its receipt now says “done”.`];
  },

  code({accepted}, carried, said) {
    const party = said.at(-1).token.aud;
    const parties = {...accepted.parties, [party]: {...accepted.parties[party], code: ["0".repeat(64)]}};
    const what = `Other code of ${short(party)} is approved than the code that answered.`;
    return [{accepted: {...accepted, parties}}, what];
  },
};

async function tamper(given, how) {
  const carried = receiptsIn(given.answer);
  const [changed, what] = TAMPER[how](given, carried, carried.receipts.map((one) => parseReceipt(one).receipt));
  by("done").textContent = what;
  await show({...given, ...changed});
}

// What the console gives

/** Return what the console has.  The log publishes the proof a moment after the answer: until then, ask again. */
async function load(source, tries = 5) {
  const answered = await fetch(source);
  if (!answered.ok) throw new Error(`the console answers with status ${answered.status}`);
  const {answer, request, ...more} = await answered.json();
  if (more.proof || tries === 1) return {...more, answer: fromBase64(answer), request: fromBase64(request)};
  await new Promise((done) => setTimeout(done, SECOND));
  return load(source, tries - 1);
}

async function start(place) {
  const given = await load(place.dataset.source);
  const impossible = ({message}) => by("done").replaceChildren(`This cannot be changed: ${message}`);
  for (const button of place.querySelectorAll("[data-tamper]")) {
    button.addEventListener("click", () => tamper(given, button.dataset.tamper).catch(impossible));
  }
  for (const anchor of place.querySelectorAll("[data-anchor]")) {
    anchor.textContent = await sha256(given[anchor.dataset.anchor]);
  }
  for (const link of place.querySelectorAll("[data-file]")) {
    link.href = URL.createObjectURL(new Blob([given[link.dataset.file] ?? ""]));
  }
  await show(given);
}

start(by("receipts")).catch(({message}) => by("verdict").replaceChildren(`The receipts cannot be shown: ${message}`));
