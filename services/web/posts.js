// Shows the posts, newest first, one page of the API at a time.

const list = document.querySelector("#post-list");
const status = document.querySelector("#posts-status");
const problem = document.querySelector("#posts-problem");
const older = document.querySelector("#posts-older");

const day = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long" });

/** What went wrong, in the words of a problem detail (RFC 9457) where the server sent one. */
class Problem extends Error {
  constructor({ title, detail, request_id: id }) {
    super(detail);
    this.title = title;
    this.id = id;
  }
}

/**
 * Fetches one page of posts.
 * @param {string} url a path of the API
 * @returns {Promise<{posts: object[], next?: string}>} next is the path of the page of older posts, if there are any
 * @throws {Problem}
 */
async function fetchPage(url) {
  let response, body;
  try {
    // Nginx itself gives up after 13 s at most: it tries for 5 s, and waits 8 s for the last answer.
    response = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(15_000) });
    body = await response.json();
  } catch (error) {
    if (response && error instanceof SyntaxError) {
      throw new Problem({ title: "Unreadable answer", detail: `The server answered ${response.status}, but not with JSON.` });
    }
    throw new Problem({ title: "No answer", detail: "The server could not be reached. Check the connection." });
  }
  if (!response.ok) {
    throw new Problem({ title: `Error ${response.status}`, detail: "The posts could not be read.", ...body });
  }
  return body;
}

/** Makes the list item of one post. Everything is put in as text, never as HTML. */
function item(post) {
  const node = document.querySelector("#post").content.cloneNode(true);
  const time = node.querySelector("time");
  time.dateTime = post.created_at;
  time.textContent = day.format(new Date(post.created_at));
  node.querySelector("h3").textContent = post.title;
  node.querySelector("p").textContent = post.body;
  return node;
}

/** Says what went wrong, and offers to try again. */
function showProblem({ title, message, id }, retry) {
  const node = document.querySelector("#problem").content.cloneNode(true);
  node.querySelector("h3").textContent = title;
  node.querySelector("p").textContent = message;
  node.querySelector(".id").textContent = id ? `Request ${id}` : "";
  node.querySelector("button").addEventListener("click", retry);
  problem.replaceChildren(node);
  problem.hidden = false;
}

/**
 * Fetches the page at url and puts it below what is there. asked is true when the visitor pressed a button for it: the
 * focus then goes to where the new posts begin, since the button may be gone.
 */
async function show(url, asked) {
  list.ariaBusy = "true";
  older.ariaDisabled = "true";
  status.textContent = asked ? "Loading…" : "";
  problem.hidden = true;
  try {
    const page = await fetchPage(url);
    const items = page.posts.map(item);
    const first = items[0]?.querySelector("h3");
    list.querySelectorAll(".waiting").forEach((placeholder) => placeholder.remove());
    list.append(...items);
    status.textContent = list.children.length ? "" : "There are no posts yet.";
    older.hidden = !page.next;
    older.onclick = () => older.ariaDisabled === "true" || show(page.next, true);
    if (asked) first?.focus();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    status.textContent = "";
    older.hidden = true;
    showProblem(error, () => show(url, true));
    if (asked) problem.querySelector("button").focus();
  } finally {
    list.ariaBusy = "false";
    older.ariaDisabled = "false";
  }
}

show("/api/v1/posts", false);
