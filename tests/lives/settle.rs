//! The end of a life: no more faults, runs that follow the advice of the errors until nothing is left to do, and a destroy.

use crate::{
    Checked, Violation,
    model::Block,
    runs::RunReport,
    steps::{Key, Run, SLOTS, Step},
    walk::Slot,
    world::World,
};

/// How many runs settling may take. The last one is empty.
const MOST_ROUNDS: u32 = 8;

impl World<'_> {
    /// Runs a whole life.
    pub async fn live(&mut self, steps: &[Step]) -> Checked {
        for step in steps {
            self.take(step).await?;
        }
        self.settle().await?;
        self.check_orphans()?;
        self.leave().await?;
        self.check_log()
    }

    /// Applies until a plan is empty.
    async fn settle(&mut self) -> Checked {
        self.calm();
        self.wait_for_late_writes().await?;
        for round in 0..MOST_ROUNDS {
            let report = self.apply(Run { parallel: true, ..Run::default() }, false).await?;
            self.check_run(&report)?;
            if report.is_empty() {
                return self.check_nothing_written();
            }
            self.follow_advice(&report, round).await?;
        }
        Err(Violation::new(
            "stuck",
            format!("still not settled after {MOST_ROUNDS} runs: {:?}", self.last_said()),
        ))
    }

    /// Does what a user would do after a failed run.
    async fn follow_advice(&mut self, report: &RunReport, round: u32) -> Checked {
        let refused = report.refused_adoptions().into_iter().chain(report.refused_names());
        for slot in refused.filter(|_| !report.planned) {
            if let Some(config) = &mut self.slot(slot).config {
                config.make_unique(1 + slot + SLOTS * u8::try_from(round).unwrap_or_default());
            }
        }
        for slot in &report.without_token {
            if let Some(Block::Connection(config)) = &mut self.slot(*slot).config {
                config.token = 0;
            }
        }
        let failed = (0..).zip(&report.results).filter(|(_, result)| result.failed);
        for slot in failed.map(|(slot, _)| slot).collect::<Vec<u8>>() {
            let said: Vec<_> = self
                .said
                .iter()
                .filter(|said| said.run == report.run && said.slot == slot && said.is_error)
                .cloned()
                .collect();
            let managed = self.managed();
            let named = self.objects().into_iter().find(|one| said.iter().any(|said| said.names(one.id())));
            let can_import = self.slot(slot).object.is_none()
                && named.as_ref().is_some_and(|one| !managed.iter().any(|(id, _)| id == one.id()));
            if let (Some(kept), true) = (&named, can_import) {
                self.import(&[(slot, kept.clone())], Key::Id).await?;
                if self.slot(slot).object.is_some() {
                    continue;
                }
            }
            let is_lost = said.iter().any(|said| said.says_the_name_is_lost());
            if let Some(config) = self.slot(slot).config.as_mut().filter(|_| named.is_some() || is_lost) {
                config.make_unique(1 + slot + SLOTS * u8::try_from(round).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn last_said(&self) -> Vec<String> {
        let said = self.said.iter().filter(|said| said.run == self.run);
        said.map(|said| format!("{}: {}", said.summary, said.detail)).collect()
    }

    /// Destroys everything.
    async fn leave(&mut self) -> Checked {
        let report = self.apply(Run { parallel: true, ..Run::default() }, true).await?;
        self.check_run(&report)?;
        let is_gone = |slot: &Slot| slot.object.is_none() && slot.deposed.is_empty();
        if !self.slots.iter().all(is_gone) {
            return Err(Violation::new(
                "stuck",
                format!("not all could be destroyed: {:?}", self.last_said()),
            ));
        }
        self.check_orphans()
    }
}
