//! What people look at.

use hyper::Method;

use crate::agents::Run;
use crate::peer::Control;

/// Something that can be asked for.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) path: String,
}

/// Every page, of a run that is live and of one that has ended.
pub(crate) async fn pages(control: &Control, live: &[Run]) -> Vec<Page> {
    let run = &live.first().expect("a run").id;
    let ended = control
        .json(Method::GET, "/v1/runs?state=ended&limit=1", "")
        .await;
    let ended = ended["runs"][0]["run"]
        .as_str()
        .expect("a run that has ended")
        .to_owned();
    let page = |name, path: String| Page { name, path };
    let record = format!("/records/{ended}/2");
    let month = "since=2020-01-01T00:00:00Z";
    vec![
        page("incidents", "/v1/incidents".into()),
        page("incidents of a task", "/v1/incidents?task=sweep".into()),
        page("incidents at a target", "/v1/incidents?target=crm".into()),
        page("runs", "/v1/runs".into()),
        page("runs, open", "/v1/runs?state=open".into()),
        page("runs by words", "/v1/runs?words=sweep".into()),
        page("run", format!("/v1/runs/{run}")),
        page("run, ended", format!("/v1/runs/{ended}")),
        page("its scope", format!("/v1/runs/{run}/scope")),
        page("its scope, ended", format!("/v1/runs/{ended}/scope")),
        page("its trail", format!("/v1/runs/{run}/trail?payloads=false")),
        page(
            "its trail, ended",
            format!("/v1/runs/{ended}/trail?payloads=false"),
        ),
        page(
            "with payloads",
            format!("/v1/runs/{ended}/trail?payloads=true"),
        ),
        page(
            "its newest records",
            format!("/v1/runs/{run}/trail?payloads=false&after=4"),
        ),
        page(
            "the gateway's trail",
            "/v1/gateway/trail?payloads=false".into(),
        ),
        page("record", format!("/v1/records/{ended}/2?payloads=false")),
        page("record with payload", format!("/v1/records/{ended}/2")),
        page("activity, an hour", "/v1/activity".into()),
        page("activity, years", format!("/v1/activity?{month}&parts=240")),
        page("activity of a run", format!("/v1/activity?run={run}")),
        page("search, a word", "/v1/search?words=secrets".into()),
        page("search, denied", "/v1/search?denied=true".into()),
        page("search, a run", format!("/v1/search?run={ended}")),
        page(
            "search, two words",
            "/v1/search?words=invoices%20sweep".into(),
        ),
        page("tasks", "/v1/tasks".into()),
        page("task", "/v1/tasks/triage".into()),
        page("health", "/v1/health".into()),
        page("page: incidents", "/".into()),
        page("page: runs", "/runs".into()),
        page("page: run", format!("/runs/{run}")),
        page("page: run, ended", format!("/runs/{ended}")),
        page("page: record", record),
        page("page: approvals", "/approvals".into()),
        page("page: tasks", "/tasks".into()),
        page("page: task", "/tasks/triage".into()),
        page("page: search", "/search?words=secrets".into()),
    ]
}
