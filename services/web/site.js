// The script that all pages share. Without it, a page works as far as it can. Code for a single page is in its own module
// (api-docs.js), except for the journey: its page is usually the first one visited, and loads faster without a second
// request.

const language = document.documentElement.lang;
export const find = (selector, root = document) => root.querySelector(selector);

/** Makes an element. Its children are nodes or texts, never HTML. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Wraps a user's text, so that its direction (right to left, say) does not change that of our text around it. */
const theirs = (text) => element("bdi", {}, text);

/** Goes to another page. The promise never settles, so a caller that awaits it stays busy until this page is gone. */
function leave(url) {
  location.assign(url);
  return new Promise(() => {});
}


// --- Requests --------------------------------------------------------------------------------------------------------

// Longer than Nginx keeps trying (5 s to find a replica, and 15 s for the last one's answer). In milliseconds.
const patience = 25_000;

/** What went wrong, in the words of a problem detail (RFC 9457) if the server sent one. */
export class Problem extends Error {
  constructor({ status = 0, title = "", detail = "", request_id: id = "", errors = [] }) {
    super(detail);
    Object.assign(this, { status, title, id, errors });
  }
}

/**
 * Sends one request to the API.
 * @param {object} [options]
 * @param {object} [options.body] goes out as JSON
 * @param {string} [options.key] the Idempotency-Key
 * @param {boolean} [options.own] whether the page, not the visitor, needs the answer; the journey then does not show it
 * @returns {Promise<object|null>} the answer's JSON, or null if it has no body
 * @throws {Problem}
 */
export async function request(method, url, { body, key, own = false } = {}) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const sent = performance.now();
  let response, text;
  try {
    response = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(patience) });
    text = await response.text();
  } catch {
    if (!own) drawRequest(method, url, sent, null);
    throw new Problem({
      title: "No answer",
      detail: "The server could not be reached. Check the connection, and try again: what is sent twice takes effect once.",
    });
  }
  if (!own) drawRequest(method, url, sent, response);
  let answer = null;
  try {
    if (text) answer = JSON.parse(text);
  } catch {
    throw new Problem({ title: "Unreadable answer", detail: `The server answered ${response.status}, but not with JSON.` });
  }
  if (!response.ok) {
    const seconds = response.headers.get("Retry-After");
    const soon = seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`;
    const wait = response.status === 429 && seconds ? ` The next one is allowed in ${soon}.` : "";
    const problem = { title: `Error ${response.status}`, detail: "The request failed.", ...answer };
    throw new Problem({ ...problem, status: response.status, detail: problem.detail + wait });
  }
  return answer;
}

/** Makes a new Idempotency-Key. (crypto.randomUUID would need HTTPS.) */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Shows a problem in a box, in place of its content, followed by the nodes in more. */
export function showProblem(box, { title, message, id }, ...more) {
  const lines = [];
  if (title) lines.push(element("p", { class: "title" }, title));
  if (message) lines.push(element("p", {}, message));
  lines.push(...more);
  if (id) lines.push(element("p", { class: "id" }, `Request ${id}`));
  box.replaceChildren(...lines);
  box.hidden = false;
}


// --- The session -----------------------------------------------------------------------------------------------------

/** Shows who is signed in: a user, or null for a stranger. */
function showSession(user) {
  const box = find("#session");
  if (user) {
    const out = element("button", { type: "button", id: "sign-out" }, "Sign out");
    out.addEventListener("click", signOut);
    box.replaceChildren(element("a", { href: "/account", title: user.name }, theirs(user.name)), out);
    if (document.body.dataset.page === "account") box.firstChild.ariaCurrent = "page";
  }
  box.classList.add("known");
}

/** Asks who is signed in. Returns a user, or null for a stranger or if the request fails. */
async function loadSession() {
  try {
    const answer = await request("GET", "/api/v1/session", { own: true });
    return answer.signed_in ? answer.user : null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return null;
  }
}

async function signOut() {
  try {
    await request("DELETE", "/api/v1/session");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const box = element("div", { class: "problem", role: "alert" });
    find("#session").after(box);
    showProblem(box, error);
    return;
  }
  await leave("/");
}


// --- Forms -----------------------------------------------------------------------------------------------------------

const keys = new WeakMap(); // for each form that was sent: its content and the Idempotency-Key

/** Returns the key for a form's content: the same for each attempt to send it, a new one once the content changes. */
function keyOf(form, content) {
  const text = JSON.stringify(content);
  if (keys.get(form)?.text !== text) keys.set(form, { text, key: newKey() });
  return keys.get(form).key;
}

/**
 * Makes a form work. Until then its fieldset is disabled, so that nothing is typed or sent that would be lost.
 * @param {HTMLFormElement} form
 * @param {(content: object, key: string) => Promise<string|void>} send gets the fields' values by name; the text that it
 * returns is shown as the form's status
 */
function bindForm(form, send) {
  const [problem, status] = [find('[role="alert"]', form), find('[role="status"]', form)];
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    clearErrors(form);
    status.textContent = "";
    const wrong = check(form);
    if (wrong.length) return showErrors(form, wrong);

    const content = Object.fromEntries([...form.elements].filter(({ name }) => name).map(({ name, value }) => [name, value]));
    const setBusy = (value) => {
      busy = value;
      for (const field of form.elements) if ("readOnly" in field) field.readOnly = value;
      find("[type=submit]", form).ariaDisabled = String(value);
    };
    setBusy(true);
    try {
      status.textContent = (await send(content, keyOf(form, content))) ?? "";
      keys.delete(form);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const others = showErrors(form, error.errors);
      const rest = others.length || !error.errors.length; // what the messages at the fields do not say
      if (rest || error.more) {
        const text = [error.message, ...others.map(({ field, detail }) => sentence(field, detail))].join(" ");
        showProblem(problem, { title: "", message: rest ? text : "", id: error.id }, ...(error.more ?? []));
      }
    } finally {
      setBusy(false);
    }
  });
  find("fieldset", form).disabled = false;
}

/** Finds the mistakes that can be found without the server, and words them as the server does. */
function check(form) {
  const wrong = [];
  for (const { name, validity, minLength } of form.elements) {
    if (validity.valueMissing) wrong.push({ field: name, detail: "must not be empty" });
    else if (validity.tooShort) wrong.push({ field: name, detail: `must have at least ${minLength} characters` });
  }
  return wrong;
}

/** Makes a sentence from what the server says about a subject. */
export function sentence(subject, text) {
  const whole = /^\p{Lu}/u.test(text) ? text : `${subject} ${text}`.trim();
  return /[.!?]$/.test(whole) ? whole : whole + ".";
}

/** Shows at each field what is wrong with it, focuses the first, and returns the errors that belong to no field here. */
function showErrors(form, errors) {
  const others = [];
  let first;
  for (const { field, detail } of errors) {
    const input = form.elements.namedItem(field);
    if (!input) {
      others.push({ field, detail });
      continue;
    }
    const id = `${input.id}-error`;
    input.after(element("p", { class: "error", id }, sentence(input.labels[0].textContent, detail)));
    input.ariaInvalid = "true";
    input.setAttribute("aria-describedby", [id, input.dataset.hint].filter(Boolean).join(" "));
    first ??= input;
  }
  first?.focus();
  return others;
}

function clearErrors(form) {
  find('[role="alert"]', form).hidden = true;
  for (const error of form.querySelectorAll(".error")) error.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.ariaInvalid = null;
    input.removeAttribute("aria-describedby");
    if (input.dataset.hint) input.setAttribute("aria-describedby", input.dataset.hint);
  }
}

/** Asks before doing something that cannot be undone. Escape and the first button mean no. */
function confirm(question, consequence, yes) {
  const dialog = element("dialog", { id: "confirm", "aria-labelledby": "confirm-question" },
    element("h2", { id: "confirm-question" }, question),
    element("p", {}, consequence),
    element("form", { method: "dialog", class: "actions" },
      element("button", { class: "button", value: "no", autofocus: "" }, "Keep it"),
      element("button", { class: "button danger", value: "yes" }, yes)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}


// --- Posts -----------------------------------------------------------------------------------------------------------

const day = new Intl.DateTimeFormat(language, { dateStyle: "long" });
const minute = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });

function time(format, text) {
  return element("time", { datetime: text }, format.format(new Date(text)));
}

/** Makes the line that says who wrote a post, and when, in the given date format. */
function byline(post, format) {
  const author = post.author ? theirs(post.author.name) : element("i", {}, "the site"); // no user's name can look like this
  const line = element("p", { class: "byline" }, time(format, post.created_at), " · ", author);
  if (post.updated_at !== post.created_at) line.append(" · changed ", time(format, post.updated_at));
  return line;
}

/** Makes the list item of one post. */
function item(post) {
  const title = element("a", { href: `/posts/${post.id}` }, post.title);
  return element("li", {}, element("article", {},
    byline(post, day),
    element("h3", { dir: "auto" }, title),
    element("p", { class: "text", dir: "auto" }, post.excerpt ? `${post.body}…` : post.body)));
}

/** Adds posts to the end of a list, and returns the link of the first one added. */
function append(list, posts) {
  const items = posts.map(item);
  for (const placeholder of list.querySelectorAll(".waiting")) placeholder.remove();
  list.append(...items);
  return items[0] && find("a", items[0]);
}


// --- The journey -----------------------------------------------------------------------------------------------------
// Draws the visitor's last request: the browser's times from its Resource Timing, the server's from the header
// Server-Timing. (This code reads the header itself, because browsers provide PerformanceResourceTiming.serverTiming under
// HTTPS only.)

const map = find("#journey");
const milliseconds = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const secure = location.protocol === "https:";
let drawn = 0; // counts the requests that are being drawn: if there are two at once, the later one wins
let partsAsked = -Infinity; // performance.now() when the parts were last asked about

if (map && secure) for (const one of map.querySelectorAll("[data-secure]")) one.hidden = false;

/** Resolves to the browser's timing entry for the request sent to url at the time sent (performance.now()), or to null. */
function measured(url, sent) {
  return new Promise((resolve) => {
    const done = (entry) => {
      observer.disconnect();
      clearTimeout(timer);
      resolve(entry);
    };
    const observer = new PerformanceObserver((list) => {
      const entries = list.getEntriesByName(new URL(url, location).href);
      const entry = entries.find(({ startTime }) => startTime >= sent - 1); // clocks are rounded
      if (entry) done(entry);
    });
    const timer = setTimeout(done, 500, null); // the entry arrives right after the answer, or not at all
    observer.observe({ type: "resource", buffered: true });
  });
}

/** Reads Server-Timing (W3C). Returns the time in milliseconds and the description of each stage, by the stage's name. */
function readServerTiming(header) {
  const stages = {};
  for (const [, name, parameters] of (header ?? "").matchAll(/([\w-]+)((?:\s*;\s*[\w-]+(?:=(?:"[^"]*"|[^",;\s]*))?)*)/g)) {
    stages[name] = {
      duration: Number(/;\s*dur="?([\d.]+)/.exec(parameters)?.[1] ?? NaN),
      description: /;\s*desc="?([^";]*)/.exec(parameters)?.[1] ?? "",
    };
  }
  return stages;
}

/** Returns the browser's figures by name: the time in milliseconds (NaN if unknown) and a note about it. */
function browserFigures(entry) {
  if (!entry?.requestStart) {
    const unknown = [NaN, "not reported by the browser"];
    return { dns: unknown, connect: unknown, handshake: unknown, "first-byte": unknown };
  }
  const page = performance.getEntriesByType("navigation")[0];
  const spans = ({ domainLookupStart, domainLookupEnd, connectStart, secureConnectionStart: secured, connectEnd }) => ({
    dns: domainLookupEnd - domainLookupStart,
    connect: (secured || connectEnd) - connectStart,
    handshake: secured ? connectEnd - secured : 0,
    isNew: connectEnd > connectStart,
  });
  const { dns, connect, handshake, isNew } = spans(entry);
  const ofPage = page ? spans(page) : {};
  const reused = (forPage) => "reused connection" + (forPage > 0 ? `; the page itself took ${milliseconds.format(forPage)} ms` : "");
  return {
    dns: [dns, dns > 0 ? "looked up anew" : isNew ? "address known already" : reused(ofPage.dns)],
    connect: [connect, isNew ? (connect > 0 ? "new connection" : "with the handshake, by QUIC") : reused(ofPage.connect)],
    handshake: [handshake, isNew ? "new connection" : reused(ofPage.handshake)],
    "first-byte": [entry.responseStart - entry.requestStart, "since the request was sent"],
  };
}

const httpVersions = { "http/1.0": "HTTP/1.0", "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };

/** Shows the protocols between browser and Nginx. The browser reports the version of HTTP, the server that of TLS. */
function drawSpoken(entry, response) {
  const http = httpVersions[entry?.nextHopProtocol] ?? "HTTP";
  find("#spoken").textContent = secure ? `${http} over TLS` : http;
  if (!secure) return;
  const [version, exchange, cipher] = (readServerTiming(response?.headers.get("Server-Timing")).tls?.description ?? "").split("/");
  find("#tls-agreed").textContent = version
    ? `${version.replace("v", " ")}, key exchange ${exchange || "unknown"}, cipher ${cipher}`
    : "not reported: a proxy in front may speak TLS in its place";
}

/** Returns the server's figures, in the same form as browserFigures does. */
function serverFigures(response) {
  const { web, app, db } = readServerTiming(response.headers.get("Server-Timing"));
  const did = web?.description ?? "";
  const kept = ["HIT", "STALE", "UPDATING"].includes(did);
  const said = { static: "a file", passed: "passed on", "": "unknown" }[did] ?? `cache: ${did}`;
  const behind = (stage, note) => {
    if (kept) return [NaN, "not asked: Nginx kept the answer"];
    return stage ? [stage.duration, note] : [NaN, did === "static" ? "not asked" : "no answer"];
  };
  return {
    web: web ? [web.duration, `in all · ${said}`] : [NaN, "not reported by the server"],
    app: behind(app, `its own work · replica ${app?.description || "unknown"}`),
    db: behind(db, "its statements, including the way there"),
  };
}

/** Draws a request; response is null if there was no answer. */
async function drawRequest(method, url, sent, response) {
  if (!map) return;
  const turn = ++drawn;
  const entry = response && (await measured(url, sent));
  if (turn !== drawn) return;

  const total = entry?.duration || performance.now() - sent;
  const outcome = response ? `${response.status} in ${milliseconds.format(total)} ms` : "no answer";
  find("#journey-request").replaceChildren(element("b", {}, method), ` ${url} → `, element("b", {}, outcome));
  const none = [NaN, "no answer"];
  const figures = response
    ? { ...browserFigures(entry), ...serverFigures(response) }
    : Object.fromEntries(["dns", "connect", "handshake", "first-byte", "web", "app", "db"].map((name) => [name, none]));
  drawSpoken(entry, response);
  const longest = Math.max(...Object.values(figures).map(([value]) => value || 0));
  for (const [name, [value, note]] of Object.entries(figures)) {
    const figure = find(`[data-figure="${name}"]`, map);
    figure.textContent = Number.isNaN(value) ? "–" : `${milliseconds.format(value)} ms`;
    figure.parentElement.style.setProperty("--share", value / longest || 0);
    find(`[data-note="${name}"]`, map).textContent = note;
  }
  if (performance.now() - partsAsked > 2000) await drawParts();
}

/** Draws the parts' versions and health, the certificate, and the records that CoreDNS returns. */
async function drawParts() {
  partsAsked = performance.now();
  let answer;
  try {
    answer = await request("GET", "/api/v1/journey", { own: true });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    for (const health of map.querySelectorAll(".health")) health.textContent = "not known";
    for (const part of map.querySelectorAll("[data-part]")) delete part.dataset.healthy;
    return;
  }
  for (const { name, software, version, healthy, detail } of answer.parts) {
    const part = find(`[data-part="${name}"]`, map);
    part.dataset.healthy = healthy;
    const health = healthy ? "healthy" : ["down", detail].filter(Boolean).join(": ");
    part.replaceChildren(`${software} ${version}`, element("span", { class: "health" }, health));
  }
  const { names, issuer, until, days_left: days, error: none } = answer.certificate;
  find("#certificate").textContent = none || `of ${names.join(", ")}; by ${issuer}; until ${until}, ${days} days left`;
  const { records, error, duration_ms: duration } = answer.dns;
  find("#records-took").textContent = error || `${milliseconds.format(duration)} ms`;
  if (error) return;
  const bare = (name) => name.replace(/\.$/, "");
  find("#records").replaceChildren(...records.map(({ name, type, ttl, data }) => element("div", {},
    element("dt", {}, `${bare(name)} `, element("span", { class: "ttl" }, `${ttl} s`)),
    element("dd", {}, element("b", {}, type), ` ${bare(data)}`))));
}


// --- The pages -------------------------------------------------------------------------------------------------------
// Each page has a function, which takes a promise of the user who is signed in, or of null.

const pages = { home, "sign-up": signUp, "sign-in": signIn, account, post, search };

async function home(session) {
  const [list, status, problem, older, write] =
    ["#post-list", "#posts-status", "#posts-problem", "#posts-older", "#write"].map((id) => find(id));

  // Adds the page of posts at url to the list. asked is true if the visitor pressed a button for it: the focus then
  // moves to the first new post, since the button may be gone.
  const show = async (url, asked) => {
    list.ariaBusy = "true";
    older.ariaDisabled = "true";
    status.textContent = asked ? "Loading…" : "";
    problem.hidden = true;
    try {
      const page = await request("GET", url);
      await session; // decides whether the form above appears: without this wait, the posts would move a second time
      const first = append(list, page.posts);
      status.textContent = list.children.length ? "" : "There are no posts yet.";
      older.hidden = !page.next;
      older.onclick = () => older.ariaDisabled === "true" || show(page.next, true);
      if (asked) first?.focus();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      status.textContent = "";
      older.hidden = true;
      const again = element("button", { class: "button", type: "button" }, "Try again");
      again.addEventListener("click", () => show(url, true));
      showProblem(problem, error, again);
      if (asked) again.focus();
    } finally {
      list.ariaBusy = "false";
      older.ariaDisabled = "false";
    }
  };
  show("/api/v1/posts", false);
  drawParts();

  bindForm(write, async (draft, key) => {
    try {
      const written = await request("POST", "/api/v1/posts", { body: draft, key });
      write.reset();
      list.prepend(item(written));
      return "Your post is published.";
    } catch (error) {
      if (error.status === 401) error.more = [signInElsewhere()];
      throw error;
    }
  });
  if (await session) {
    write.hidden = false;
    const link = find("#write-link");
    link.href = "#write";
    link.textContent = "Write a post";
  }
  find("#write-link").classList.add("known");
}

/** Offers a user whose session has ended a way to sign in without losing the text on this page. */
function signInElsewhere() {
  const link = element("a", { href: "/sign-in", target: "_blank" }, "Sign in in another tab");
  return element("p", {}, link, ", then send this again. What you wrote stays here.");
}

async function signUp(session) {
  bindForm(find("#sign-up"), async ({ email, name, password }, key) => {
    try {
      await request("POST", "/api/v1/accounts", { body: { email, name, password }, key });
    } catch (error) {
      if (error.status === 409) { // help the address's owner, who may have forgotten the account
        error.more = [element("p", {}, "Is it yours? ", element("a", { href: "/sign-in" }, "Sign in"), " with its password.")];
      }
      throw error;
    }
    await request("PUT", "/api/v1/session", { body: { email, password } });
    await leave("/");
  });
  sayWhoIsSignedIn(await session);
}

async function signIn(session) {
  bindForm(find("#sign-in"), async ({ email, password }) => {
    await request("PUT", "/api/v1/session", { body: { email, password } });
    await leave("/");
  });
  sayWhoIsSignedIn(await session);
}

function sayWhoIsSignedIn(user) {
  if (user) find("#already").replaceChildren("You are signed in as ", theirs(user.name), ".");
}

async function account(session) {
  const user = await session;
  if (user) await listSessions(); // before anything is shown, since the list would push the rest of the page down
  find("#account").ariaBusy = "false";
  find("#account-stranger").hidden = Boolean(user);
  find("#account-forms").hidden = !user;
  if (!user) return;
  find("#account-email").textContent = user.email;
  find("#account-since").replaceChildren(time(day, user.created_at));
  find("#account-name").elements.name.value = user.name;
  // Password managers need this to know whose password it is.
  for (const field of document.querySelectorAll("[autocomplete=username]")) field.value = user.email;

  bindForm(find("#account-name"), async ({ name }) => {
    showSession(await request("PATCH", "/api/v1/account", { body: { name } }));
    return "Your name is changed.";
  });
  bindForm(find("#account-password"), async (content) => {
    await request("PUT", "/api/v1/account/password", { body: { current: content.current, new: content.new } });
    find("#account-password").reset();
    await listSessions();
    return "Your password is changed. Everywhere else you are signed out.";
  });
  bindForm(find("#account-delete"), async ({ password }) => {
    const sure = await confirm("Delete your account?",
      "It goes with every post that you have written. This cannot be undone.", "Delete my account");
    if (!sure) return "Nothing is deleted.";
    await request("POST", "/api/v1/account/deletion", { body: { password } });
    gone(find("#account-forms"), "Your account is deleted, with everything in it.");
    find("#session").replaceChildren(element("a", { href: "/sign-in" }, "Sign in"), element("a", { href: "/sign-up" }, "Sign up"));
  });
}

/** Shows where the user is signed in, with a button to sign out each of the other browsers. */
async function listSessions() {
  const place = find("#account-sessions");
  const [list, problem, status] = [find("#session-list"), find('[role="alert"]', place), find('[role="status"]', place)];
  const attempt = async (step) => {
    problem.hidden = true;
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      showProblem(problem, error);
    }
  };
  const draw = ({ id, browser, created_at: created, used_at: used, current }) => {
    const name = browser || "An unknown browser";
    const line = element("li", {}, element("div", {},
      element("p", {}, element("b", {}, name), current ? " · this browser" : ""),
      element("p", { class: "byline" }, "Signed in ", time(minute, created)),
      element("p", { class: "byline" }, "Last used ", time(minute, used))));
    if (current) return line;
    const button = element("button", { class: "button", type: "button" }, "Sign out",
      element("span", { class: "unseen" }, ` ${name}, signed in ${minute.format(new Date(created))}`));
    button.addEventListener("click", () => attempt(async () => {
      try {
        await request("DELETE", `/api/v1/sessions/${id}`);
      } catch (error) {
        if (error.status !== 404) throw error; // the session had already ended
      }
      line.remove();
      status.textContent = `${name} is signed out.`;
      find("#sessions-title").focus();
    }));
    line.append(button);
    return line;
  };
  await attempt(async () => {
    const { sessions } = await request("GET", "/api/v1/sessions", { own: true });
    sessions.sort((a, b) => b.current - a.current);
    list.replaceChildren(...sessions.map(draw));
  });
}

function homeLink() {
  return element("p", {}, element("a", { class: "button", href: "/" }, "Home page"));
}

/** Replaces the content of place with a message that the content is gone, and moves the focus to the message. */
function gone(place, text) {
  const note = element("div", { class: "done", tabindex: "-1" }, element("p", {}, text), homeLink());
  place.replaceChildren(note);
  note.focus();
}

async function post(session) {
  const [place, title, about, text, actions, form, problem] =
    ["#post", "#post-title", "#post-about", "#post-text", "#post-actions", "#edit", "#post-problem"].map((id) => find(id));
  const url = `/api/v1/posts/${/\d+/.exec(location.pathname) ?? 0}`;
  const site = document.title.split(" · ").at(-1);

  let current;
  const show = (post) => {
    current = post;
    document.title = `${post.title} · ${site}`;
    title.textContent = post.title;
    about.replaceChildren(byline(post, minute));
    text.textContent = post.body;
  };
  const edit = (open) => {
    form.hidden = !open;
    for (const part of [title, about, text, actions]) part.hidden = open;
    if (open) {
      form.elements.title.value = current.title;
      form.elements.body.value = current.body;
      form.elements.title.focus();
    }
  };

  try {
    show(await request("GET", url));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    title.textContent = error.status === 404 ? "There is no such post" : "This post cannot be shown";
    about.replaceChildren();
    showProblem(problem, error.status === 404 ? { message: "It was deleted, or never was." } : error, homeLink());
    return;
  } finally {
    place.ariaBusy = "false";
  }
  const user = await session;
  if (!user || user.id !== current.author?.id) return;

  actions.hidden = false;
  find("#post-edit").addEventListener("click", () => edit(true));
  find("#edit-cancel").addEventListener("click", () => {
    clearErrors(form);
    edit(false);
    find("#post-edit").focus();
  });
  bindForm(form, async (draft) => {
    show(await request("PUT", url, { body: draft }));
    edit(false);
    title.focus();
  });
  find("#post-delete").addEventListener("click", async () => {
    problem.hidden = true;
    if (!(await confirm("Delete this post?", "This cannot be undone.", "Delete the post"))) return;
    try {
      await request("DELETE", url);
      gone(place, "The post is deleted.");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      showProblem(problem, error);
    }
  });
}

// The page's address contains the words of the search and where the results begin, so a page of results can be reloaded,
// bookmarked and shared.
async function search() {
  const [form, list, status, problem, older, newest] =
    ["#search-form", "#result-list", "#results-status", "#results-problem", "#results-older", "#results-newest"].map((id) => find(id));
  const asked = new URLSearchParams(location.search);
  const q = asked.get("q") ?? "";
  const before = asked.get("before");
  form.elements.q.value = q;
  if (!q.trim()) {
    list.ariaBusy = "false";
    return;
  }
  document.title = `${q} · ${document.title}`;
  try {
    const page = await request("GET", `/api/v1/search?${new URLSearchParams(before ? { q, before } : { q })}`);
    append(list, page.posts);
    status.replaceChildren(...(page.posts.length ? [] : ["No post has all of these words: ", theirs(q)]));
    if (page.next) older.href = `/search?${new URL(page.next, location).searchParams}`;
    older.hidden = !page.next;
    newest.href = `/search?${new URLSearchParams({ q })}`;
    newest.hidden = !before;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const others = showErrors(form, error.errors);
    if (others.length || !error.errors.length) showProblem(problem, error);
  } finally {
    list.ariaBusy = "false";
  }
}


// --- Begin -----------------------------------------------------------------------------------------------------------

let shown = null; // the user whom this page shows as signed in
const session = loadSession().then((user) => {
  shown = user;
  showSession(user);
  return user;
});
pages[document.body.dataset.page]?.(session); // a page with its own module is drawn by that module

// The back button may bring this page back unchanged, which is wrong if the user has signed in or out in the meantime.
addEventListener("pageshow", async ({ persisted }) => {
  if (persisted && (await loadSession())?.id !== shown?.id) location.reload();
});
