"use strict";

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* Light and dark: the system's until the button is pressed. */
function offerThemes() {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => {
    const other = isDark() ? "light" : "dark";
    button.textContent = other === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Switch to ${other} colours`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
}

/* Two of an example's pictures over each other, with a divider between them. */
function compare(box) {
  const figures = [...box.querySelectorAll(".pictures figure")];
  if (figures.length < 2) return;
  const images = figures.map((figure) => figure.querySelector("img"));
  const titles = figures.map((figure) => figure.querySelector("figcaption").textContent);
  const sides = ["first", "second"].map((side, place) => {
    const image = make("img", { className: place ? "right" : "left", alt: "" });
    const tag = make("span", { className: `tag ${side}` });
    const choice = make("select", {}, ...titles.map((title, i) => new Option(title, i)));
    choice.value = figures.length - 2 + place;
    const show = () => {
      const source = images[choice.value];
      Object.assign(image, { src: source.src, width: source.width, height: source.height });
      image.alt = source.alt;
      tag.textContent = titles[choice.value];
    };
    choice.addEventListener("change", show);
    show();
    return { image, tag, choice };
  });
  const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
  slider.setAttribute("aria-label", `Divider between two pictures of ${box.dataset.name}`);
  const stage = make("div", { className: "stage" });
  stage.classList.toggle("small", figures.every((figure) => figure.classList.contains("small")));
  slider.addEventListener("input", () => stage.style.setProperty("--at", `${slider.value}%`));
  stage.append(...sides.map((side) => side.image), make("div", { className: "divider" }));
  stage.append(...sides.map((side) => side.tag), slider);
  const [left, right] = sides.map((side) => side.choice);
  const choices = make("div", { className: "choice" });
  choices.append(make("label", {}, "left ", left), make("label", {}, "right ", right));
  box.prepend(stage, choices);
  box.classList.add("ready");
}

offerThemes();
document.querySelectorAll(".compare").forEach(compare);
