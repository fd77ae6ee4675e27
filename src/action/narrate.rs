//! A build's progress as lines of the step's log.

use std::collections::BTreeMap;

use windlass_images::{BuildEvent, PushEvent};

use super::log::Log;
use crate::image::Making;
use crate::output;

/// Tells of one image's build and push.
pub(super) struct Narrator<'a> {
    log: &'a Log,
    /// By number, what BuildKit calls them.
    steps: BTreeMap<u32, String>,
    layers: u32,
}

impl<'a> Narrator<'a> {
    pub(super) const fn new(log: &'a Log) -> Self {
        Self { log, steps: BTreeMap::new(), layers: 0 }
    }

    pub(super) fn tell(&mut self, making: Making) {
        match making {
            Making::Build(event) => self.build(event),
            Making::Push(PushEvent::LayerPushed) => self.layers += 1,
            Making::Push(PushEvent::LayerThereAlready) => {}
            Making::Pushed(name) => {
                self.log.line(&format!("pushed {name} ({} new layers)", std::mem::take(&mut self.layers)));
            }
            Making::Kept(name, why) => self.log.line(&format!("{name} stays on this engine: {why}")),
        }
    }

    fn build(&mut self, event: BuildEvent) {
        let line = match event {
            BuildEvent::StepStarted { step, name } => {
                let line = format!("#{step} {name}");
                self.steps.insert(step, name);
                line
            }
            BuildEvent::Log { step, line } => format!("#{step} | {line}"),
            BuildEvent::StepDone { step, cached: true, .. } => format!("#{step} cached"),
            BuildEvent::StepDone { step, cached: false, time } => format!("#{step} done in {}", output::elapsed(time)),
            BuildEvent::StepFailed { step, reason } => {
                let name = self.steps.get(&step).map_or("", String::as_str);
                format!("#{step} failed: {name}: {reason}")
            }
            BuildEvent::BuilderStarting { image } => {
                format!("a builder container is started, of {image}: a cache needs it")
            }
            BuildEvent::CacheLost { reason } => {
                return self.log.warning(&format!("a cache is not used or not kept: {reason}"));
            }
        };
        self.log.line(&line);
    }
}
