// Search runs in a worker, and browsers start none from disk: there an iframe does its work.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.waiting = [];
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    const begin = () => {
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.document.open();
      inner.document.write(`<script src="${url}"></scr` + "ipt>");
      inner.document.close();
      inner.postMessage = (data) => this.answer(data);
      inner.importScripts = (...scripts) =>
        Promise.all(scripts.map((source) => new Promise((resolve, reject) => {
          const script = inner.document.createElement("script");
          Object.assign(script, { src: source, onload: resolve, onerror: reject });
          inner.document.body.append(script);
        })));
      this.frame.addEventListener("load", () => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
    };
    document.body ? begin() : addEventListener("DOMContentLoaded", begin);
  }
  answer(data) {
    const event = new MessageEvent("message", { data });
    this.dispatchEvent(event);
    if (this.onmessage) this.onmessage(event);
  }
  postMessage(data) {
    if (!this.ready) return this.waiting.push(data);
    const inner = this.frame.contentWindow;
    inner.dispatchEvent(new inner.MessageEvent("message", { data }));
  }
  terminate() {
    this.frame.remove();
  }
}
if (location.protocol === "file:") {
  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
}
