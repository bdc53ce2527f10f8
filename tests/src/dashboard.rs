//! What Grafana needs of a dashboard to load and to draw it.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::Failure;

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

/// The longest uid that Grafana takes.
const LONGEST_UID: usize = 40;

/// Kinds of panels that every Grafana has.
const KINDS: [&str; 3] = ["row", "stat", "timeseries"];

/// What stands for a variable where an expression is only parsed.
const STAND_IN: &str = ".+";

/// One query of a panel.
#[derive(Debug)]
pub struct Query {
    /// The panel's title and the query's letter.
    pub place: String,
    /// PromQL, with what Grafana fills in filled in.
    pub expression: String,
    /// Labels that the legend shows.
    pub legend: BTreeSet<String>,
}

/// Every query, those of variables among them.
pub fn queries(dashboard: &Value) -> Result<Vec<Query>, Failure> {
    let shown = Regex::new(r"\{\{\s*(\w+)\s*\}\}")?;
    let mut queries = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            let legend = shown.captures_iter(text(&target["legendFormat"]));
            queries.push(Query {
                place: format!("{} {}", text(&panel["title"]), text(&target["refId"])),
                expression: filled(text(&target["expr"]))?,
                legend: legend.map(|label| label[1].to_owned()).collect(),
            });
        }
    }
    let values = Regex::new(r"^label_values\((.+), (\w+)\)$")?;
    for variable in list(&dashboard["templating"]["list"]) {
        if let Some(asked) = values.captures(text(&variable["query"])) {
            queries.push(Query {
                place: format!("variable {}", text(&variable["name"])),
                expression: filled(&asked[1])?,
                legend: BTreeSet::from([asked[2].to_owned()]),
            });
        }
    }
    Ok(queries)
}

fn filled(expression: &str) -> Result<String, Failure> {
    let expression = expression.replace("$__rate_interval", "5m");
    Ok(Regex::new(r"\$\{?\w+\}?")?.replace_all(&expression, STAND_IN).into_owned())
}

/// What is wrong with it.
pub fn problems(dashboard: &Value) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    let uid = text(&dashboard["uid"]);
    if text(&dashboard["title"]).is_empty() || uid.is_empty() || uid.len() > LONGEST_UID {
        wrong.push("it needs a title and a short uid".to_owned());
    }
    if !dashboard["schemaVersion"].is_u64() || !dashboard["id"].is_null() || !dashboard["__inputs"].is_null() {
        wrong.push("it needs a schemaVersion, and neither an id nor inputs, which nobody fills in".to_owned());
    }
    let panels = list(&dashboard["panels"]);
    if panels.is_empty() {
        wrong.push("it has no panels".to_owned());
    }
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    if ids.len() != panels.len() {
        wrong.push("panels need an id each, all different".to_owned());
    }
    for panel in panels {
        wrong.extend(panel_problems(panel).into_iter().map(|what| format!("{}: {what}", text(&panel["title"]))));
    }
    wrong.extend(overlaps(panels));
    wrong.extend(variables(dashboard)?);
    Ok(wrong)
}

fn panel_problems(panel: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let kind = text(&panel["type"]);
    if !KINDS.contains(&kind) || text(&panel["title"]).is_empty() {
        wrong.push(format!("{kind:?} is no kind of panel, or it has no title"));
    }
    if kind == "row" {
        return wrong;
    }
    if panel["datasource"]["type"] != "prometheus" || panel["datasource"]["uid"] != "${datasource}" {
        wrong.push("its data source is not the variable".to_owned());
    }
    let letters: BTreeSet<&str> = list(&panel["targets"]).iter().map(|target| text(&target["refId"])).collect();
    if letters.is_empty() || letters.contains("") || letters.len() != list(&panel["targets"]).len() {
        wrong.push("its queries need a letter each".to_owned());
    }
    // Over a range, a leader of an hour ago would be shown beside today's.
    if kind == "stat" && list(&panel["targets"]).iter().any(|target| target["instant"] != true) {
        wrong.push("it shows what is, so its queries are instant".to_owned());
    }
    wrong
}

fn overlaps(panels: &[Value]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut wrong = Vec::new();
    for panel in panels {
        let side = |name: &str| panel["gridPos"][name].as_u64();
        let (Some(x), Some(y), Some(w), Some(h)) = (side("x"), side("y"), side("w"), side("h")) else {
            wrong.push(format!("{}: no place", text(&panel["title"])));
            continue;
        };
        let mut cells = (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line)));
        // Cells after one that is taken stay untaken: whatever lies there is told of once this is mended.
        let free = cells.all(|cell| taken.insert(cell));
        if w == 0 || h == 0 || x + w > COLUMNS || !free {
            wrong.push(format!("{}: outside the grid, or over another panel", text(&panel["title"])));
        }
    }
    wrong
}

/// Variables that are used have to be there, the data source's above all.
fn variables(dashboard: &Value) -> Result<Vec<String>, Failure> {
    let there = list(&dashboard["templating"]["list"]);
    let source = there.iter().any(|one| one["name"] == "datasource" && one["type"] == "datasource");
    let names: BTreeSet<&str> = there.iter().map(|one| text(&one["name"])).collect();
    let mut wrong = Vec::new();
    if !source {
        wrong.push("there is no variable for the data source".to_owned());
    }
    for used in Regex::new(r"\$\{?(\w+)\}?")?.captures_iter(&dashboard.to_string()) {
        if !used[1].starts_with("__") && !names.contains(&used[1]) {
            wrong.push(format!("{} is no variable", &used[1]));
        }
    }
    Ok(wrong)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        let panel = |id: u64, x: u64| {
            json!({"id": id, "type": "stat", "title": "t", "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": x, "y": 0, "w": 12, "h": 4},
                "targets": [{"refId": "A", "expr": "up{job=~\"$job\"}", "legendFormat": "{{pod}}", "instant": true}]})
        };
        json!({"title": "t", "uid": "u", "schemaVersion": 39, "panels": [panel(1, 0), panel(2, 12)],
            "templating": {"list": [{"name": "datasource", "type": "datasource"}, {"name": "job", "query": "label_values(up, job)"}]}})
    }

    #[test]
    fn a_sound_one_has_no_problems() -> Result<(), Failure> {
        assert_eq!(problems(&sound())?, Vec::<String>::new());
        let queries = queries(&sound())?;
        assert_eq!(queries.len(), 3);
        assert_eq!(queries[0].expression, "up{job=~\".+\"}");
        assert_eq!(queries[0].legend, BTreeSet::from(["pod".to_owned()]));
        Ok(())
    }

    #[test]
    fn what_grafana_would_not_draw_is_found() -> Result<(), Failure> {
        for (place, value) in [
            ("/title", json!("")),
            ("/uid", json!("u".repeat(41))),
            ("/schemaVersion", json!(null)),
            ("/panels/1/id", json!(1)),
            ("/panels/1/type", json!("graph")),
            ("/panels/1/gridPos/x", json!(11)),
            ("/panels/1/gridPos/w", json!(13)),
            ("/panels/1/gridPos", json!(null)),
            ("/panels/1/datasource/uid", json!("prometheus")),
            ("/panels/1/targets", json!([])),
            ("/panels/1/targets/0/instant", json!(false)),
            ("/panels/1/targets/0/expr", json!("up{job=~\"$jobs\"}")),
            ("/templating/list/0", json!({})),
        ] {
            let mut broken = sound();
            *broken.pointer_mut(place).ok_or("no such place")? = value;
            assert!(!problems(&broken)?.is_empty(), "{place}");
        }
        Ok(())
    }
}
