// Loaded before a Node peer that would listen on every interface: lets it listen on 127.0.0.1 only.
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  const options = typeof first === "object" ? { ...first } : { port: Number(first) };
  const callback = rest.filter((each) => typeof each === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, ...callback);
};
