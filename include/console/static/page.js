"use strict";
(() => {
  // A link into Airflow: within Airflow's frame, which may not move the window, the window itself follows it.
  const outside = window.parent !== window && (() => {
    try {
      return window.parent.document;
    } catch {
      return null;
    }
  })();
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || !outside || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const twin = outside.createElement("a");
    twin.href = link.href;
    outside.body.append(twin);
    twin.click();
    twin.remove();
  });

  // What a person does goes to Airflow's own API with their own login.
  const send = async (method, path, body) => {
    const response = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
    const said = await response.json().catch(() => ({}));
    if (response.ok) return said;
    const detail = typeof said.detail === "string" ? said.detail : JSON.stringify(said.detail ?? "");
    const why = { 401: "Your login has ended. Log in to Airflow again.", 403: "Airflow does not let you do this.", 409: "This was answered already." };
    throw new Error(why[response.status] ?? `Airflow refused it (${response.status}): ${detail.slice(0, 300)}`);
  };
  const tell = (form, text, kind) => {
    const place = form.querySelector("output");
    place.textContent = text;
    place.className = kind;
  };
  const busy = (form, on) => form.querySelectorAll("button").forEach((button) => { button.disabled = on; });

  const act = async (form, work) => {
    busy(form, true);
    tell(form, "Asking Airflow …", "info");
    try {
      await work();
    } catch (error) {
      tell(form, error.message, "bad");
      busy(form, false);
    }
  };

  document.querySelectorAll("form.answer").forEach((form) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const option = event.submitter.value;
      act(form, async () => {
        await send("PATCH", form.dataset.to, { chosen_options: [option], params_input: {} });
        tell(form, `Recorded: ${option}. Airflow carries it out now; this page shows it once you load it again.`, "good");
      });
    });
  });

  document.querySelectorAll("form.start").forEach((form) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act(form, async () => {
        const conf = window.plumbline?.conf?.(form, event.submitter) ?? {
          version: Number(form.elements.version.value),
          reason: form.elements.reason.value,
        };
        const run = await send("POST", form.dataset.to, { logical_date: null, conf });
        tell(form, "Started. ", "good");
        const link = document.createElement("a");
        link.href = `${form.dataset.run}${encodeURIComponent(run.dag_run_id)}`;
        link.dataset.airflow = "";
        link.textContent = form.dataset.then;
        form.querySelector("output").append(link);
      });
    });
  });

  // A page that tasks wrote follows the system's light or dark; a choice that Airflow was told has to be passed on.
  const frame = document.querySelector("iframe.framed");
  const passOn = () => {
    const system = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const wanted = document.documentElement.dataset.theme;
    const page = frame.dataset.page + (wanted === system ? "" : `?theme=${wanted}`);
    if (frame.getAttribute("src") !== page) frame.src = page;
  };
  if (frame) {
    passOn();
    document.addEventListener("themed", passOn);
  }

  document.querySelectorAll("form.choice select, form.choice input[type=checkbox]").forEach((field) => {
    field.addEventListener("change", () => field.form.requestSubmit());
  });
})();
