// What a page owes to people who use it with a screen reader, a keyboard, poor sight or a small screen: the parts of WCAG
// 2.2 (A and AA) that a program can check, as axe-core and similar programs do. Returns a sentence for each problem.
(() => {
  const wrong = [];
  const name = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const says = (element.textContent || element.getAttribute("name") || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.localName}${id}> "${says}"`;
  };
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const styleOf = (element) => getComputedStyle(element);

  /** Whether somebody can perceive it: it is visible, or hidden only from the eye. */
  const perceived = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('[aria-hidden="true"], [inert]');
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && box.width > 1 && box.height > 1;
  };

  // --- The document ---------------------------------------------------------------------------------------------------
  if (!/^[a-z]{2,3}(-[A-Za-z0-9]+)*$/.test(document.documentElement.lang)) wrong.push(`the language of the page is "${document.documentElement.lang}"`);
  if (!document.title.trim()) wrong.push("the page has no title");
  const viewport = document.querySelector('meta[name="viewport"]')?.content ?? "";
  if (!viewport.includes("width=device-width")) wrong.push(`the viewport is "${viewport}"`);
  if (/user-scalable\s*=\s*(no|0)|maximum-scale\s*=\s*[0-4](\.|,|$)/.test(viewport)) wrong.push("the page cannot be enlarged");
  if (document.querySelector('meta[http-equiv="refresh"]')) wrong.push("the page refreshes or redirects by itself");

  // --- Ids and what refers to them ------------------------------------------------------------------------------------
  const ids = new Map();
  for (const element of all("[id]")) ids.set(element.id, (ids.get(element.id) ?? 0) + 1);
  for (const [id, count] of ids) if (count > 1) wrong.push(`the id ${id} occurs ${count} times`);
  for (const attribute of ["for", "form", "list", "aria-labelledby", "aria-describedby", "aria-errormessage", "aria-controls", "aria-owns", "aria-details", "aria-activedescendant"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/).filter(Boolean)) {
        if (!ids.has(id)) wrong.push(`${name(element)} refers to #${id} by ${attribute}, which does not exist`);
      }
    }
  }
  for (const link of all('a[href^="#"]')) {
    const id = decodeURIComponent(link.hash.slice(1));
    if (id && id !== "top" && !ids.has(id)) wrong.push(`${name(link)} leads to #${id}, which does not exist`);
  }

  // --- Landmarks and headings -----------------------------------------------------------------------------------------
  const mains = all('main, [role="main"]').filter(perceived);
  if (mains.length !== 1) wrong.push(`there are ${mains.length} main landmarks`);
  for (const [what, selector] of [["banner", 'body > header, [role="banner"]'], ["contentinfo", 'body > footer, [role="contentinfo"]']]) {
    const found = all(selector).filter(perceived).length;
    if (found > 1) wrong.push(`there are ${found} ${what} landmarks`);
  }
  const labelOf = (element) =>
    (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim() ||
    (element.getAttribute("aria-label") ?? "").trim();
  for (const kind of ["nav", "aside", "search"]) {
    const labels = all(kind).filter(perceived).map(labelOf);
    if (labels.length > 1 && new Set(labels).size < labels.length) wrong.push(`there are ${labels.length} <${kind}>, called ${JSON.stringify(labels)}`);
  }
  const regions = 'main, nav, aside, header, footer, dialog, [role="main"], [role="banner"], [role="navigation"], [role="contentinfo"], [role="alert"], [role="status"]';
  const firstFocusable = document.querySelector("a[href], button, input, select, textarea");
  for (const element of document.body.children) {
    if (element.matches(`${regions}, script, template, noscript`) || !perceived(element) || !element.textContent.trim()) continue;
    if (element === firstFocusable && element.matches('a[href^="#"]')) continue; // the skip link
    if (!element.querySelector(regions)) wrong.push(`${name(element)} is in no landmark`);
  }
  const skip = firstFocusable?.matches('a[href^="#"]') ? firstFocusable : null;
  if (document.querySelector("body > header nav, body > nav") && !skip) wrong.push("the first thing to focus is not a link past the navigation");

  const headings = all('h1, h2, h3, h4, h5, h6, [role="heading"]').filter(perceived);
  const level = (heading) => Number(heading.getAttribute("aria-level") ?? heading.localName.slice(1));
  const firsts = headings.filter((heading) => level(heading) === 1);
  if (firsts.length !== 1) wrong.push(`there are ${firsts.length} headings of the first level`);
  let before = 0;
  for (const heading of headings) {
    if (!heading.textContent.trim()) wrong.push(`${name(heading)} is an empty heading`);
    if (level(heading) > before + 1) wrong.push(`${name(heading)} is of level ${level(heading)} and comes after level ${before}`);
    before = level(heading);
  }

  // --- Names ----------------------------------------------------------------------------------------------------------
  const text = (element) => {
    if (element.nodeType === Node.TEXT_NODE) return element.data;
    if (element.nodeType !== Node.ELEMENT_NODE || element.matches('[aria-hidden="true"], [hidden], template, script, style')) return "";
    if (element.localName === "img") return element.alt;
    const label = labelOf(element);
    if (label) return label;
    if (element.localName === "svg") return element.querySelector(":scope > title")?.textContent ?? "";
    return [...element.childNodes].map(text).join("");
  };
  for (const element of all('a[href], button, summary, [role="button"], [role="link"], input[type="submit"], input[type="button"], input[type="reset"]').filter(perceived)) {
    const says = element.localName === "input" ? element.value : text(element);
    if (!says.trim()) wrong.push(`${name(element)} has no name: ${element.outerHTML.slice(0, 100)}`);
    // people who use voice control say the words that they see
    const shown = element.innerText?.trim().replace(/\s+/g, " ").toLowerCase() ?? "";
    const label = labelOf(element).replace(/\s+/g, " ").toLowerCase();
    if (label && shown && !label.includes(shown)) wrong.push(`${name(element)} is called "${label}", which does not contain what it shows`);
  }
  for (const control of all("input, select, textarea").filter((one) => perceived(one) && !/^(hidden|submit|button|reset|image)$/.test(one.type))) {
    const label = labelOf(control) || [...(control.labels ?? [])].map((one) => one.textContent).join(" ").trim();
    if (!label) wrong.push(`${name(control)} has no label`);
    const wants = { email: /email|username/, password: /(current|new)-password/ }[control.type];
    if (wants && !wants.test(control.autocomplete)) wrong.push(`${name(control)} is of type ${control.type} but has autocomplete="${control.autocomplete}"`);
    if (control.getAttribute("aria-invalid") === "true" && !control.getAttribute("aria-describedby") && !control.getAttribute("aria-errormessage")) wrong.push(`${name(control)} is invalid but does not say why`);
  }
  for (const image of all("img, input[type=image], area").filter(perceived)) {
    if (!image.hasAttribute("alt") && !labelOf(image)) wrong.push(`${image.outerHTML.slice(0, 100)} has no alternative text`);
  }
  for (const image of all('[role="img"], svg').filter(perceived)) {
    if (!text(image).trim() && image.getAttribute("role") !== "presentation") wrong.push(`${image.outerHTML.slice(0, 100)} is neither named nor hidden`);
  }
  for (const frame of all("iframe")) if (!frame.title) wrong.push("a frame has no title");

  // --- ARIA -----------------------------------------------------------------------------------------------------------
  const roles = new Set(("alert alertdialog application article banner blockquote button caption cell checkbox code columnheader combobox complementary contentinfo definition deletion dialog directory document emphasis feed figure form generic grid gridcell group heading img insertion link list listbox listitem log main marquee math menu menubar menuitem menuitemcheckbox menuitemradio meter navigation none note option paragraph presentation progressbar radio radiogroup region row rowgroup rowheader scrollbar search searchbox separator slider spinbutton status strong subscript superscript switch tab table tablist tabpanel term textbox time timer toolbar tooltip tree treegrid treeitem").split(" "));
  const states = new Set(("activedescendant atomic autocomplete braillelabel brailleroledescription busy checked colcount colindex colindextext colspan controls current describedby description details disabled errormessage expanded flowto haspopup hidden invalid keyshortcuts label labelledby level live modal multiline multiselectable orientation owns placeholder posinset pressed readonly relevant required roledescription rowcount rowindex rowindextext rowspan selected setsize sort valuemax valuemin valuenow valuetext").split(" "));
  for (const element of all("*")) {
    for (const attribute of element.attributes) {
      if (attribute.name === "role") for (const role of attribute.value.split(/\s+/)) if (!roles.has(role)) wrong.push(`${name(element)} has the role "${role}"`);
      if (attribute.name.startsWith("aria-")) {
        if (!states.has(attribute.name.slice(5))) wrong.push(`${name(element)} has the attribute ${attribute.name}`);
        else if (/^aria-(atomic|busy|disabled|hidden|modal|multiline|readonly|required|selected)$/.test(attribute.name) && !/^(true|false)$/.test(attribute.value)) wrong.push(`${name(element)} has ${attribute.name}="${attribute.value}"`);
        else if (attribute.name === "aria-live" && !/^(off|polite|assertive)$/.test(attribute.value)) wrong.push(`${name(element)} has aria-live="${attribute.value}"`);
      }
    }
    // elements that may not be named
    if (/^(div|span|p|b|i|em|strong|code|time|small)$/.test(element.localName) && !element.hasAttribute("role") && element.hasAttribute("aria-label")) wrong.push(`${name(element)} has a label, but no role that takes one`);
  }
  const focusables = 'a[href], button:not([disabled]), input:not([disabled]):not([type="hidden"]), select:not([disabled]), textarea:not([disabled]), summary, [tabindex]:not([tabindex="-1"])';
  for (const hidden of all('[aria-hidden="true"]')) {
    for (const element of [hidden, ...all(focusables, hidden)]) if (element.matches(focusables) && element.checkVisibility({ visibilityProperty: true })) wrong.push(`${name(element)} can be focused and is hidden from screen readers`);
  }
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) wrong.push(`${name(element)} has tabindex=${element.tabIndex}`);
  for (const element of all("a[href], button, summary, label")) if (element.querySelector("a[href], button, summary, select, textarea") && element.localName !== "label") wrong.push(`${name(element)} contains something else to press`);

  // --- Structure ------------------------------------------------------------------------------------------------------
  for (const list of all("ul, ol")) for (const child of list.children) if (!/^(li|script|template)$/.test(child.localName)) wrong.push(`${name(list)} holds a <${child.localName}>`);
  for (const item of all("li")) if (!/^(ul|ol|menu)$/.test(item.parentElement?.localName) && item.parentElement?.getAttribute("role") !== "list") wrong.push(`${name(item)} is in no list`);
  for (const list of all("dl")) {
    for (const child of list.children) {
      if (!/^(dt|dd|div|script|template)$/.test(child.localName)) wrong.push(`${name(list)} holds a <${child.localName}>`);
      if (child.localName === "div" && (!child.querySelector(":scope > dt") || !child.querySelector(":scope > dd"))) wrong.push(`${name(child)} in a <dl> lacks a <dt> or a <dd>`);
    }
  }
  for (const table of all("table").filter(perceived)) if (!table.querySelector("th")) wrong.push(`${name(table)} has no heading`);
  for (const element of all("fieldset")) if (!element.querySelector(":scope > legend") && !labelOf(element) && !(element.form && labelOf(element.form))) wrong.push(`${name(element)} has no legend`);

  // --- Contrast -------------------------------------------------------------------------------------------------------
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = "#000";
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => {
    const a = top[3] + under[3] * (1 - top[3]);
    return a === 0 ? [0, 0, 0, 0] : [...[0, 1, 2].map((i) => (top[i] * top[3] + under[i] * under[3] * (1 - top[3])) / a), a];
  };
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const canvasColour = channels("Canvas"); // in the scheme of the root element only, hence the next line
  const bottom = matchMedia("(prefers-color-scheme: dark)").matches && styleOf(document.documentElement).colorScheme.includes("dark") ? [18, 18, 18, 1] : canvasColour[3] ? canvasColour : [255, 255, 255, 1];
  /** The colour behind an element's text, or null if there is a picture. */
  const behind = (element) => {
    let color = [0, 0, 0, 0];
    for (let one = element; one; one = one.parentElement) {
      const style = styleOf(one);
      if (style.backgroundImage !== "none" && !/^linear-gradient\((rgba?\([^)]*\)), \1/.test(style.backgroundImage)) return null;
      color = over(color, channels(style.backgroundColor));
      if (color[3] > 0.999) return color;
    }
    return over(color, bottom);
  };
  const opacity = (element) => {
    let product = 1;
    for (let one = element; one; one = one.parentElement) product *= Number(styleOf(one).opacity);
    return product;
  };
  const judge = (element, style, what) => {
    const back = behind(element);
    if (!back) return;
    const color = channels(style.color);
    color[3] *= opacity(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const got = ratio(over(color, back), back);
    if (got < (large ? 3 : 4.5)) wrong.push(`${what} ${name(element)} has a contrast of ${got.toFixed(2)}: ${style.color} on rgb(${back.slice(0, 3).map(Math.round)}), ${size}px`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || judged.has(element) || !seen(element) || element.closest(":disabled, svg, noscript, template, [aria-disabled=true]")) continue;
    judged.add(element);
    judge(element, styleOf(element), "the text");
  }
  for (const control of all("input, textarea").filter((one) => seen(one) && !one.disabled)) {
    judge(control, styleOf(control), "the text typed into");
    if (control.placeholder) judge(control, { ...pick(styleOf(control, "::placeholder")), fontSize: styleOf(control).fontSize }, "the placeholder of");
  }
  function pick(style) {
    return { color: style.color, fontWeight: style.fontWeight };
  }

  // --- Pointer and keyboard -------------------------------------------------------------------------------------------
  for (const element of all(focusables).filter(seen)) {
    const box = element.getBoundingClientRect();
    if (box.width >= 24 && box.height >= 24) continue;
    const inSentence = element.localName === "a" && styleOf(element).display === "inline" && [...(element.parentElement?.childNodes ?? [])].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
    const label = element.labels?.[0]?.getBoundingClientRect();
    if (!inSentence && !(label && label.width >= 24 && label.height >= 24 && element.matches('[type="checkbox"], [type="radio"]'))) wrong.push(`${name(element)} is ${Math.round(box.width)} by ${Math.round(box.height)} pixels, which is hard to hit`);
  }
  const looks = (element) => {
    const style = styleOf(element);
    const outline = style.outlineStyle === "none" || parseFloat(style.outlineWidth) === 0 ? "none" : `${style.outlineStyle} ${style.outlineWidth} ${style.outlineColor}`;
    return [outline, style.boxShadow, style.borderColor, style.backgroundColor, style.textDecoration].join("; ");
  };
  const had = document.activeElement;
  for (const element of all(focusables).filter(perceived)) {
    element.blur();
    const without = looks(element);
    element.focus({ focusVisible: true, preventScroll: true });
    if (document.activeElement !== element) continue;
    if (looks(element) === without) wrong.push(`${name(element)} looks the same when it has the focus: ${without}`);
    if (!seen(element)) wrong.push(`${name(element)} has the focus but cannot be seen`);
    element.blur();
  }
  if (had instanceof HTMLElement && had !== document.body) had.focus({ preventScroll: true });

  return wrong;
})()
