//! The course of a run as SVG: events with a position, second by second, and every blow below.

use super::{outcome::Outcome, plan::Kind};
use std::fmt::Write;

const WIDTH: f64 = 1_040.0;
const LEFT: f64 = 280.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
/// Room for the curve.
const CURVE: f64 = 220.0;
const ROW: f64 = 20.0;
/// Lines across the curve.
const LINES: u32 = 4;

const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #1f2933 }
.title { font-size: 15px; font-weight: 600 }
.quiet { fill: #66727f }
.grid { stroke: #d8dee4 }
.events { fill: none; stroke: #7b93b5; stroke-width: 2 }
.kill { fill: #cc6a5c } .disturbance { fill: #d9a441 }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e8ee } .quiet { fill: #9aa7b4 } .grid { stroke: #3a444e }
}";

/// Draws it.
pub(super) fn svg(outcome: &Outcome) -> String {
    let mut kinds: Vec<Kind> = outcome.struck.iter().map(|struck| struck.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let length = outcome.course.last().map_or(1.0, |(seconds, _)| seconds.max(1.0));
    let most = outcome.course.iter().map(|(_, events)| *events).max().unwrap_or(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 events")]
    let y = |events: i64| TOP + CURVE - CURVE * events as f64 / most as f64;
    let x = |seconds: f64| LEFT + (WIDTH - LEFT - RIGHT) * seconds / length;
    let rows_top = TOP + CURVE + 34.0;
    let height = kinds.iter().fold(rows_top + 10.0, |height, _| height + ROW);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\">\n\
         <style>{STYLE}\n</style>\n\
         <text class=\"title\" x=\"12\" y=\"24\">Seed {}: {} kills and {} disturbances, {:.0} events/s, {} violations</text>\n",
        outcome.seed,
        outcome.kills,
        outcome.disturbances,
        outcome.events_per_second,
        outcome.violations()
    );
    for line in 0..=LINES {
        let events = most * i64::from(line) / i64::from(LINES);
        let at = y(events);
        _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
             <text class=\"quiet\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{events}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    _ = writeln!(svg, "<text x=\"12\" y=\"{TOP}\">events with a position</text>");
    let mut minutes = 0.0;
    while minutes * 60.0 <= length {
        let at = x(minutes * 60.0);
        _ = writeln!(
            svg,
            "<text class=\"quiet\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{minutes:.0} min</text>",
            TOP + CURVE + 18.0
        );
        minutes += 1.0;
    }
    let points: Vec<String> = outcome
        .course
        .iter()
        .map(|(seconds, events)| format!("{:.1},{:.1}", x(*seconds), y(*events)))
        .collect();
    _ = writeln!(svg, "<polyline class=\"events\" points=\"{}\"/>", points.join(" "));
    let mut top = rows_top;
    for kind in kinds {
        let class = if kind.is_kill() { "kill" } else { "disturbance" };
        let middle = top + ROW / 2.0;
        _ = writeln!(svg, "<text x=\"12\" y=\"{:.1}\">{}</text>", middle + 4.0, kind.words());
        for struck in outcome.struck.iter().filter(|struck| struck.kind == kind) {
            let (from, to) = (x(struck.at_seconds), x(struck.at_seconds + struck.recovered_seconds));
            _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\"><title>{} at {:.1} s, \
                 back after {:.2} s</title></rect>",
                top + 3.0,
                (to - from).max(3.0),
                ROW - 6.0,
                struck.target,
                struck.at_seconds,
                struck.recovered_seconds
            );
        }
        top += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}
