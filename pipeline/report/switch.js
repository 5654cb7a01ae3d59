// The language switch works without this script; it keeps the page's language, title and descriptions in step, and remembers nothing.
(function () {
  var root = document.documentElement;
  function show(lang) {
    root.lang = lang === "zh" ? "zh-Hans" : "en";
    document.querySelectorAll("[data-en]").forEach(function (e) {
      var text = e.getAttribute("data-" + lang);
      if (e.tagName === "TITLE") { document.title = text; return; }
      e.setAttribute(e.tagName === "IMG" ? "alt" : "aria-label", text);
    });
  }
  document.querySelectorAll("input[name=lang]").forEach(function (i) {
    i.addEventListener("change", function () { show(i.value); });
    if (i.checked) { show(i.value); }
  });
})();
