// The entrance, and what a browser keeps. This module needs no other, so it runs, and one can type,
// while the rest of the page is on its way; page.js takes over from it.

const $ = (id) => document.getElementById(id);

// ── What a browser keeps

/** What is kept under a name, or null; in a browser that keeps nothing, always null. */
export function kept(storage, name) {
  try {
    return JSON.parse(window[storage].getItem(`tcpchat.${name}`));
  } catch {
    return null;
  }
}

/** Keep a value, or nothing; whether the browser could. */
export function keep(storage, name, value) {
  const key = `tcpchat.${name}`;
  try {
    // Where there is no room for the new, the old may not stay: who resumed a session as it was a
    // while ago would give numbers again that the server knows, and what was said so be lost.
    window[storage].removeItem(key);
    if (value !== null) window[storage].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // it is full, or forbidden: then a reload begins anew
  }
}

// What is kept may be anything: an older page of ours may have kept it, or somebody else's that came
// from the same address.
export const arrayOf = (value) => (Array.isArray(value) ? value : []);
export const stringsOf = (value) => arrayOf(value).filter((each) => typeof each === "string");
export const keptText = (name) => stringsOf([kept("localStorage", name)])[0] ?? "";

// Who was in rooms, and did not leave, is there again when the page is opened anew.
export const roomsToGoBackTo = () => stringsOf(kept("localStorage", "rooms"));
export const goesBack = () =>
  (keptText("nick") !== "" || keptText("device") !== "") && roomsToGoBackTo().length > 0;

// ── A code in the address

/**
 * The code of an address with `#claim=CODE`, "" if there is none. It is in the address no longer
 * then, nor in the history: whoever looks there later finds nothing.
 */
export function takeCode() {
  if (!location.hash.startsWith("#claim=")) return "";
  const code = location.hash.slice("#claim=".length);
  history.replaceState(null, "", location.pathname + location.search);
  return code;
}

/** The code with which the page was opened. */
export const codeGiven = takeCode();

// ── The entrance

/** The room that the address names, as `#room`. */
export function hashRoom() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** Show it, and never touch again what somebody may have begun to type. */
export function openEntrance() {
  if (!$("entrance").hidden) return;
  $("entrance").hidden = false;
  $("nick").value ||= keptText("nick");
  $("room").value = hashRoom() || $("room").value || keptText("room");
  $($("nick").value === "" && !$("nick-field").hidden ? "nick" : "room").focus();
}

// An account has its nickname.
$("nick-field").hidden = keptText("device") !== "" || codeGiven !== "";

let comeIn = null; // what is to be done when somebody comes in; until it is known, whether …
let isAwaited = false; // … somebody did

/** Do this when somebody comes in: at once for who has done so already. */
export function onEnter(act) {
  comeIn = act;
  if (isAwaited) act();
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  if (comeIn === null) isAwaited = true;
  else comeIn();
});

// Who is in at once, after a reload or because of what is kept, sees no entrance on the way.
if (kept("sessionStorage", "session") === null && !goesBack()) openEntrance();
