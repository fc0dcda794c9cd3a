// What can be computed of accessibility, WCAG 2.2 AA: evaluated in the page, it
// returns what is wrong in words. (Names and roles the test asks the browser.)
(() => {
  const wrong = [];
  const say = (element, words) => wrong.push(`${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.className} "${(element.textContent || "").trim().slice(0, 40)}": ${words}`);
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest(".unseen");

  // 1.3.1, 2.4.1, 2.4.2, 3.1.1: the document
  if (!document.documentElement.lang) wrong.push("no language");
  if (!document.title) wrong.push("no title");
  for (const tag of ["main", "h1"]) if (document.querySelectorAll(tag).length !== 1) wrong.push(`not one ${tag}`);
  let level = 0;
  for (const h of [...document.querySelectorAll("h1, h2, h3, h4")].filter((e) => e.checkVisibility())) { // also those that are only heard
    if (Number(h.tagName[1]) > level + 1 && level) say(h, `comes after h${level}`);
    level = Number(h.tagName[1]);
  }

  // 4.1.2: what refers to others finds them
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`the id ${id} is there twice`);
  for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      for (const id of element.getAttribute(name).split(" ")) if (!document.getElementById(id)) say(element, `${name} finds no ${id}`);
    }
  }

  // 1.4.3: contrast of text, 1.4.11: of the charts' lines
  const parse = (colour) => {
    const n = colour.match(/[\d.]+/g).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const check = (element, style) => {
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
    const ground = background(element), [r, g, b, a] = parse(style.color);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = contrast(over([r, g, b, a * opacity], ground), ground);
    if (found < (large ? 3 : 4.5)) say(element, `contrast ${found.toFixed(2)}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() && visible(element) && !element.closest(":disabled, script, template, noscript")) check(element, getComputedStyle(element));
  }
  for (const input of document.querySelectorAll("input[placeholder]")) if (visible(input)) check(input, getComputedStyle(input, "::placeholder"));
  for (const trace of document.querySelectorAll(".trace")) {
    const found = contrast(parse(getComputedStyle(trace, "::before").backgroundColor), background(trace));
    if (found < 3) say(trace, `contrast of its line ${found.toFixed(2)}`);
  }

  // 2.5.8: large enough to be hit; 1.4.10: nothing is cut off or covered
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`${document.documentElement.scrollWidth} pixels wide`);
  for (const element of document.querySelectorAll("button, input, [tabindex]")) {
    if (!visible(element)) continue;
    if (element.tabIndex > 0) say(element, "jumps the queue of the Tab key");
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const box = element.getBoundingClientRect();
    if (box.width < 24 || box.height < 24) say(element, `${box.width} by ${box.height} pixels`);
    const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!element.contains(there)) say(element, `covered by ${there?.outerHTML.slice(0, 60)}`);
  }
  scrollTo({ top: 0, behavior: "instant" });
  return wrong;
})()
