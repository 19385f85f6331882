//! Bars with their spread and their goal, as SVG: the numbers of a table at a glance.

use crate::{
    report::{Figure, Goal, Report, number},
    statistics::Spread,
};
use std::fmt::Write;

const WIDTH: f64 = 1_040.0;
/// Where the bars begin, after their labels.
const LEFT: f64 = 560.0;
/// Room for the number behind the longest bar.
const RIGHT: f64 = 70.0;
const TOP: f64 = 56.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
/// More bars than this are too many to compare; then only those with a goal are shown.
const BARS_MAX: usize = 24;
/// Steps of the axis.
const TICKS: u32 = 5;

const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #1f2933 }
.title { font-size: 15px; font-weight: 600 }
.quiet { fill: #66727f }
.grid { stroke: #d8dee4 }
.spread { stroke: #1f2933; stroke-width: 1.5 }
.goal { stroke: #b35900; stroke-width: 2 }
.met { fill: #4c9f70 } .missed { fill: #cc6a5c } .plain { fill: #7b93b5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e8ee } .quiet { fill: #9aa7b4 } .grid { stroke: #3a444e } .spread { stroke: #e3e8ee }
}";

/// The plots of a report: a name and the SVG for each of its parts.
pub fn plots(report: &Report) -> Vec<(String, String)> {
    report
        .parts()
        .into_iter()
        .map(|part| {
            let mut figures: Vec<&Figure> =
                report.figures.iter().filter(|figure| figure.part == part).collect();
            if figures.len() > BARS_MAX {
                figures.retain(|figure| figure.goal.is_some());
            }
            (format!("{}-{part}.svg", report.bench), svg(&format!("{}: {part}", report.bench), &figures))
        })
        .collect()
}

/// What a bar shows: the ratio where the goal is one, else the figure itself.
fn shown(figure: &Figure) -> (&Spread, &'static str) {
    match &figure.ratio {
        Some(ratio) if figure.unit != "ms" => (ratio, "ratio to the baseline"),
        _ => (&figure.ours, figure.unit),
    }
}

fn svg(title: &str, figures: &[&Figure]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for figure in figures {
        let axis = shown(figure).1;
        if !kinds.contains(&axis) {
            kinds.push(axis);
        }
    }
    let mut body = format!("<text class=\"title\" x=\"12\" y=\"24\">{}</text>\n", escaped(title));
    let mut y = TOP;
    for axis in kinds {
        let rows: Vec<&Figure> = figures.iter().copied().filter(|figure| shown(figure).1 == axis).collect();
        y = chart(&mut body, y, axis, &rows);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" role=\"img\">\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// One axis with its bars; answers with where the next one begins.
fn chart(out: &mut String, top: f64, axis: &str, figures: &[&Figure]) -> f64 {
    let largest = figures
        .iter()
        .flat_map(|figure| [shown(figure).0.max, figure.goal.map_or(0.0, Goal::value)])
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max);
    let step = round_step(largest / f64::from(TICKS));
    let end = step * (largest / step).ceil().max(1.0);
    let x = |value: f64| LEFT + (value / end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let bottom = top + 20.0 + ROW * f64::from(u32::try_from(figures.len()).unwrap_or(0));

    _ = writeln!(out, "<text class=\"quiet\" x=\"12\" y=\"{:.1}\">{}</text>", top, escaped(axis));
    let mut tick = 0.0;
    while tick <= end + step / 2.0 {
        let at = x(tick);
        _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            top + 6.0
        );
        _ = writeln!(
            out,
            "<text class=\"quiet\" x=\"{at:.1}\" y=\"{top:.1}\" text-anchor=\"middle\">{}</text>",
            number(tick)
        );
        tick += step;
    }
    for (index, figure) in (0_u32..).zip(figures) {
        row(out, top + 16.0 + ROW * f64::from(index), figure, &x);
    }
    bottom + 28.0
}

fn row(out: &mut String, y: f64, figure: &Figure, x: &impl Fn(f64) -> f64) {
    let (spread, _) = shown(figure);
    let class = match figure.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "plain",
    };
    let against = figure.against.map(|name| format!(" / {name}")).unwrap_or_default();
    let label = format!("{}{against} · {}", figure.what, figure.setting);
    let middle = y + BAR / 2.0;
    let text = middle + 4.0;
    _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 10.0,
        escaped(&label)
    );
    let end = x(spread.median);
    _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>",
        (end - LEFT).max(0.5)
    );
    if spread.rounds > 1 {
        let (from, to) = (x(spread.min), x(spread.max));
        _ = writeln!(
            out,
            "<line class=\"spread\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
        );
    }
    if let Some(goal) = figure.goal {
        let at = x(goal.value());
        _ = writeln!(
            out,
            "<line class=\"goal\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            y - 3.0,
            y + BAR + 3.0
        );
    }
    let behind = x(spread.max).max(end) + 6.0;
    _ = writeln!(out, "<text x=\"{behind:.1}\" y=\"{text:.1}\">{}</text>", number(spread.median));
}

/// 1, 2 or 5 times a power of ten, at least as large.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(1.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{round_step, svg};
    use crate::{
        report::{Figure, Goal},
        statistics::Spread,
    };

    #[test]
    fn steps_of_an_axis_are_easy_to_read() {
        let steps = [0.13, 0.2, 0.21, 17.0, 501.0].map(round_step);
        for (step, expected) in steps.into_iter().zip([0.2, 0.2, 0.5, 20.0, 1_000.0]) {
            assert!((step - expected).abs() < 1e-9, "{step} is not {expected}");
        }
    }

    #[test]
    fn a_bar_shows_its_ratio_its_goal_and_its_label_without_breaking_the_page() {
        let spread = |median| Spread { median, min: median * 0.9, max: median * 1.1, rounds: 5 };
        let figure = Figure::alone(
            "append",
            "a < b",
            "8 writers",
            spread(900.0),
            "events/s",
            Some(Goal::AtLeast(0.8)),
        )
        .against("INSERT", spread(1_000.0), spread(0.9));
        let text = svg("bench: append", &[&figure]);
        assert!(text.contains("a &lt; b / INSERT · 8 writers") && text.contains("class=\"met\""));
        assert!(text.contains("class=\"goal\"") && text.contains(">0.90<") && !text.contains("NaN"));
    }
}
