//! What a node says to whoever starts it.

use nexus_node::RunningNode;
use nexus_service_api::CreatedKey;

/// Where the `nexus` command looks when it is not told.
const USUAL_ADDRESS: &str = "127.0.0.1:2026";

/// Where it listens and, at the first start, the admin key and what to try.
pub(crate) fn text(node: &RunningNode) -> String {
    let url = format!("http://{}", node.address());
    let mut listening = format!("listening on {url}\n");
    if let Some(directory) = node.mounted_at() {
        listening.push_str(&format!("mounted on {}\n", directory.display()));
    }
    let Some(key) = node.admin_key() else {
        return listening;
    };
    let elsewhere = node.address().to_string() != USUAL_ADDRESS;
    let point = if elsewhere {
        format!("  export NEXUS_URL={url}\n")
    } else {
        String::new()
    };
    format!(
        "{listening}{}\nto try it, in another terminal:\n{point}  export NEXUS_API_KEY={}\n  \
         echo 'hello' | nexus write /hello.txt\n  nexus cat /hello.txt\n  nexus ls /\n",
        admin_key(key),
        key.secret,
    )
}

/// The one time a secret is shown.
pub(crate) fn admin_key(key: &CreatedKey) -> String {
    format!(
        "admin key: {}\n  keep it: only a hash of it is stored, and it is not shown again.\n  \
         `nexus keys create` makes more keys; if all are lost, stop the node and run `nexus-node admin-key`.\n",
        key.secret
    )
}
