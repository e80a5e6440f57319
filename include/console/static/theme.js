"use strict";
// Takes Airflow's choice of light or dark, which it keeps where pages of the same origin can read it.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = "system";
    try {
      chosen = window.localStorage.getItem("theme") || "system";
    } catch {
      // Storage is switched off: the system's choice holds.
    }
    const wanted = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
    if (document.documentElement.dataset.theme !== wanted) {
      document.documentElement.dataset.theme = wanted;
      document.dispatchEvent(new Event("themed"));
    }
  };
  apply();
  dark.addEventListener("change", apply);
  window.addEventListener("storage", apply);
})();
