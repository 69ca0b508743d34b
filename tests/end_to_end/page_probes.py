"""What is asked of every page in a browser: is all of it on the screen, and can it be read?"""

# Of normal text: WCAG 2, success criterion 1.4.3.
LEAST_CONTRAST = 4.5

# What stands outside the window and cannot be scrolled to; in charts, texts outside of the chart.
OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const named = (element) => `${element.tagName}.${element.getAttribute("class")}`;
  const beyond = (box, left, right) =>
    box.width > 0 && (box.left < left - 1 || box.right > right + 1);
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (element.parentElement.closest(".wide, pre")) continue;
    const chart = element.parentElement.closest("svg");
    const box = element.getBoundingClientRect();
    if (!chart && beyond(box, 0, width)) found.push(named(element));
    const edge = chart && chart.getBoundingClientRect();
    if (chart && element.tagName === "text" && beyond(box, edge.left, edge.right))
      found.push(element.textContent);
  }
  return found;
}"""

# Contrast of each visible text with all that is painted behind it.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const painted = (colours) => {
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return pen.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = Array.from(element.childNodes)
      .some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !element.checkVisibility() || !element.getBoundingClientRect().width) continue;
    const behind = ["white"];
    for (let outer = element; outer; outer = outer.parentElement)
      behind.splice(1, 0, getComputedStyle(outer).backgroundColor);
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(painted(behind)), luminance(painted([...behind, ink]))]
      .sort((a, b) => b - a);
    found.push([(light + 0.05) / (dark + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""
