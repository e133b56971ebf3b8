// Passes every request to countersign, which runs in a container of this Worker.
import { Container, getContainer } from "@cloudflare/containers";

export class Countersign extends Container {
  defaultPort = 8080;
  // A start takes some seconds, so the container stays for longer than a visit.
  sleepAfter = "1h";

  constructor(ctx, env) {
    super(ctx, env);
    this.envVars = {
      COUNTERSIGN_UPSTREAM: env.AUTH_SERVER,
      COUNTERSIGN_PUBLIC_URL: env.PUBLIC_URL,
      COUNTERSIGN_STORE: "env:COUNTERSIGN_SIGNING_KEY",
      // `wrangler secret put COUNTERSIGN_SIGNING_KEY`: the disk of a container is new at each start.
      COUNTERSIGN_SIGNING_KEY: env.COUNTERSIGN_SIGNING_KEY,
    };
    for (const name of ["COUNTERSIGN_SIGNING_KEY_NEXT", "COUNTERSIGN_SIGNING_KEY_PREVIOUS"]) {
      if (env[name]) this.envVars[name] = env[name];
    }
  }
}

export default {
  fetch(request, env) {
    return getContainer(env.COUNTERSIGN).fetch(request);
  },
};
