#!/usr/bin/env node
// Finds the binary of this platform and runs it in this process's place: same arguments, environment
// and standard streams; signals are passed on, its exit status or signal is passed back.
"use strict";
const { spawn } = require("node:child_process");
const own = require("../package.json");

const here = `${process.platform}-${process.arch}`;
// The package of each platform that this version was built for ends with its name.
const built = Object.keys(own.optionalDependencies || {});

/** Says what failed and what to do, and ends with the status of "could not run". */
function fail(what, ...hints) {
  process.stderr.write(`error: ${what}\n${hints.map((hint) => `hint: ${hint}\n`).join("")}`);
  process.exit(2);
}

const others = `other ways to run countersign: its container image, or \`cargo build --release\` in a clone; see ${own.homepage}`;

function binary() {
  const name = built.find((name) => name.endsWith(`/${here}`));
  if (!name) {
    const platforms = built.map((name) => name.slice(name.indexOf("/") + 1)).join(", ");
    fail(`countersign: no npm package for ${here}`, `there are packages for ${platforms}`, others);
  }
  try {
    return require.resolve(`${name}/bin/countersign`);
  } catch {
    return fail(
      `countersign: the package ${name} is not installed`,
      "install again without --omit=optional, and on this platform: node_modules copied from another one lacks it",
      others,
    );
  }
}

const path = binary();
const child = spawn(path, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  fail(`countersign: ${path}: ${error.message}`, "a file without its executable bit, or a binary for another libc, cannot be started", others);
});
// Node keeps SIGUSR1 for its debugger.
const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];
for (const signal of signals) process.on(signal, () => child.kill(signal));
child.on("exit", (status, signal) => {
  if (signal === null) process.exit(status);
  for (const name of signals) process.removeAllListeners(name);
  // Ends as the binary did, so that a shell or a supervisor sees the same signal.
  process.kill(process.pid, signal);
});
