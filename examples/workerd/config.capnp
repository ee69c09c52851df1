# A Worker that calls objects of kvnode as it would call Durable Objects.
#
#   kvnode serve --objects examples.counter:Counter --http 127.0.0.1:7480
#   workerd serve examples/workerd/config.capnp
#   curl 127.0.0.1:8080/visits -d 5
#
# See docs/http.md.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    # The node beside the Worker: any node will do, for it finds the one that leads.
    (name = "kvnode", external = (address = "127.0.0.1:7480", http = ())),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:8080", http = (), service = "main"),
  ],
  extensions = [
    (modules = [
      (name = "kvnode:objects", internal = true, esModule = embed "objects.js"),
    ]),
  ],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2025-09-01",
  bindings = [
    # One such binding for each class.
    (name = "COUNTER", wrapped = (moduleName = "kvnode:objects", innerBindings = [
      (name = "node", service = "kvnode"),
      (name = "className", text = "Counter"),
    ])),
  ],
);
