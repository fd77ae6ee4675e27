"use strict";
// Follows the deployment: new lines go to the log; when an event changes the steps, they are read again.
(function () {
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  // In the reader's zone. Without this script UTC stands there, and says so.
  function localize(time) {
    const at = new Date(time.dateTime);
    time.textContent = ("day" in time.dataset ? day : clock).format(at);
    time.title = time.dateTime;
  }
  document.querySelectorAll("time[datetime]").forEach(localize);

  const log = document.getElementById("log");
  let last = log.lastElementChild ? Number(log.lastElementChild.dataset.seq) : 0;
  const final = ["succeeded", "failed", "refused", "cancelled", "superseded"];
  if (final.includes(document.body.dataset.state)) return;

  // Events come in bursts, and to many readers at once: each of them asks once, and not all in the same moment.
  let asking = false;
  function refresh() {
    if (asking) return;
    asking = true;
    setTimeout(async () => {
      asking = false;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["steps", "state"]) {
        document.getElementById(id).replaceWith(fresh.getElementById(id));
      }
      document.body.dataset.state = fresh.body.dataset.state;
      if (final.includes(fresh.body.dataset.state)) location.reload();
    }, 100 + Math.random() * 400);
  }

  function append(event, line) {
    const message = JSON.parse(event.data);
    if (message.seq <= last) return;
    last = message.seq;
    const span = document.createElement("span");
    const time = document.createElement("time");
    time.dateTime = message.at;
    localize(time);
    span.append(time, " " + line(message) + "\n");
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.append(span);
    if (atEnd) log.scrollTop = log.scrollHeight;
    return span;
  }

  function follow() {
    const source = new EventSource(location.pathname + "/events?after=" + last);
    source.addEventListener("log", (event) => append(event, (m) => m.source + ": " + m.line));
    source.addEventListener("event", (event) => {
      const span = append(event, (m) => m.text);
      if (!span) return;
      span.className = "event";
      refresh();
      if (JSON.parse(event.data).body.event === "ended") source.close();
    });
    // A stream that breaks off comes back by itself; one that was refused, since too many follow, does not.
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      refresh();
      setTimeout(() => { if (!final.includes(document.body.dataset.state)) follow(); }, 15000 + Math.random() * 15000);
    });
  }
  follow();
})();
