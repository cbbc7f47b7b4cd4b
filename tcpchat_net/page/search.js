// The dialog that finds what was said. `hooks` are `ask(request)`, a promise of the answer, and
// `show(message)`, which shows a message that was found where it was said.

import { parseLine } from "./commands.js";
import { clock, date, element, nickElement, textElement } from "./view.js";

const FIRST_FOUND = 50; // how many are shown at first; then four times as many …
const MOST_FOUND = 500; // … up to what a server gives

const $ = (id) => document.getElementById(id);

export class Search {
  constructor(hooks) {
    this._hooks = hooks;
    $("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this._find(FIRST_FOUND);
    });
  }

  /** Open the dialog; where words are given, look for them. */
  open(words = "") {
    if (!$("search-dialog").open) $("search-dialog").showModal();
    $("words").focus();
    if (words === "") return;
    $("words").value = words;
    this._find(FIRST_FOUND);
  }

  // What stands in the field is what may stand behind the command.
  async _find(limit) {
    const request = parseLine(`/search ${$("words").value}`);
    this._tell(request.type === "rejected" ? request.text : "Searching …");
    if (request.type === "rejected") return;
    const found = await this._hooks.ask({ ...request, limit });
    if (found.type === "rejected") return this._tell(found.text);
    const many = found.messages.length;
    const more = found.more ? " or more" : "";
    this._tell(many === 0 ? "Nothing was found." : `${many}${more} found, newest first.`);
    $("found").replaceChildren(...found.messages.map((each) => this._row(each)));
    $("found-more").hidden = !found.more || limit >= MOST_FOUND;
    $("found-more").onclick = () => this._find(Math.min(limit * 4, MOST_FOUND));
  }

  _tell(text) {
    $("search-status").textContent = text;
    $("found").replaceChildren();
    $("found-more").hidden = true;
  }

  _row(message) {
    const { room, at, nick, text } = message;
    const go = element("button", "plain", element("bdi", "", room), ` ${date(at)} ${clock(at)}`);
    go.title = "Show where it was said";
    go.addEventListener("click", () => {
      $("search-dialog").close();
      this._hooks.show(message);
    });
    return element("li", "", go, " ", nickElement(nick), " ", textElement(text));
  }
}
