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
  if (own !== turn) return;
  const verdict = found ? ["granted", "Steps 1 to 9 of 10 are proven. "] : ["tampered", "Not proven: "];
  by("verdict").replaceChildren(element("strong", ...verdict), found ? toldOf(found) : whyNot(fault));
  for (const place of document.querySelectorAll("[data-step]")) {
    place.replaceChildren(state(Number(place.dataset.step), fault));
  }
  const unproven = element("li", "faint", "Not shown: steps 1 to 9 are not all proven.");
  by("tree").replaceChildren(found ? treeItem(found.root, ["you"]) : unproven);
}

function toldOf({root, at}) {
  const parties = [...new Set([...receiptsOf(root)].map(({signer}) => short(signer)))].sort().join(", ");
  return `${parties} took part, and ran code that is accepted. Witnesses had seen it by ${clock(at)}.`;
}

function whyNot(fault) {
  if (!(fault instanceof Unproven)) return `it cannot be verified: ${fault.message}`;
  const name = document.querySelector(`[data-step="${fault.step}"]`).previousSibling.textContent.replace(/: $/, "");
  return `that ${name} (step ${fault.step} of 10). ${short(fault.party)}: ${fault.why}.`;
}

function state(step, fault) {
  if (step === fault?.step) return element("span", "tampered", "not proven");
  return fault ? element("span", "faint", "not decided") : element("span", "granted", "proven");
}

/** Return what was proven of a call, and of those below it. */
function treeItem({receipt, below}, forWhom) {
  const {token, operation, resources, verdict, reason, permission, code, calls} = receipt;
  const party = element("span", "workload", short(token.aud));
  const says = element("span", SIGNS[verdict] ?? "faint", `${verdict}${reason ? ` (${reason})` : ""}`);
  const facts = element("div", "faint", `acting for ${forWhom.join(", for ")}; code `);
  facts.append(element("code", "", code.slice(0, DIGITS)));
  const answered = below.map((one) => treeItem(one, [short(token.aud), ...forWhom]));
  const others = calls.filter((one) => one.reason).map((one) =>
    element("li", "faint", `${short(one.aud)}: no receipt (${one.reason})`));
  const what = ` ${[operation, ...resources].join(" ")}, needs ${permission ?? "no scope"}: `;
  return element("li", "", party, what, says, facts, element("ul", "", ...answered, ...others));
}

// What people change

const between = ({before, after}, ...texts) => Uint8Array.from([...before, ...utf8(texts.join("~")), ...after]);

/** Each returns what replaces some of what was given, and says what was changed.  `said`: by each receipt. */
const TAMPER = {
  nothing: () => [{}, "Nothing is changed. What you change here stays in this page."],

  word({answer}) {
    const text = new TextDecoder("latin1").decode(answer); // a character for each byte
    const [, before, word] = text.match(/^([^]*"text":"[^]*?)([A-Za-z]{4,})/); // in the last text
    const other = word === "Deleted" ? "Filed" : "Deleted";
    const around = {before: answer.subarray(0, before.length), after: answer.subarray(before.length + word.length)};
    return [{answer: between(around, other)}, `In the answer, the word “${word}” was replaced by “${other}”.`];
  },

  missing(given, carried, said) {
    const {token, operation} = said.at(-1);
    const answer = between(carried, ...carried.receipts.slice(0, -1));
    return [{answer}, `The receipt of ${short(token.aud)} for ${operation} was taken out of the answer.`];
  },

  forged(given, carried, said) {
    const which = said.findLastIndex(({verdict}) => verdict === "refused"); // if none was, -1: the last one
    const {reason, ...receipt} = said.at(which);
    const [header, , signature] = carried.receipts.at(which).split(".");
    const payload = base64url(canonical({...receipt, verdict: "done", status: 204}));
    const answer = between(carried, ...carried.receipts.with(which, `${header}.${payload}.${signature}`));
    const was = reason ? `was refused (${reason})` : "was answered";
    return [{answer}, `A call to ${short(receipt.token.aud)} ${was}. Its receipt now says “done”.`];
  },

  code({accepted}, carried, said) {
    const party = said.at(-1).token.aud;
    const parties = {...accepted.parties, [party]: {...accepted.parties[party], code: ["0".repeat(64)]}};
    const what = `For ${short(party)}, another digest is approved now than that of the code that answered.`;
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
