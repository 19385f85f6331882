//! What a partner publishes for itself, as facts.

use crate::system::{Fact, System};
use crate::world::World;
use chrono::NaiveDate;
use contracts::feeds::{
    FeedEvent, FeedFormat, FeedKind, FeedRegistered, FeedSyncFailed, PatchEvent, PatchFacts, PatchPublished,
    PatchRated, RatingEvent,
};
use kernel::{PatchId, Tenant};
use testkit::id;

impl World {
    /// Records what the partner publishes for itself, and what its people think of the shared patch.
    pub(crate) async fn record_own_catalogue(&self, system: &System) {
        let of_partner = Tenant::partner(self.partner);
        let registered = Fact::of::<FeedEvent>(FeedRegistered {
            feed_id: self.own_feed,
            name: self.text("feed"),
            kind: FeedKind::Partner,
            format: FeedFormat::Csaf,
            source: "https://updates.example/csaf".to_owned(),
            schedule: None,
            publisher: None,
            keyring: None,
        });
        let failed = Fact::of::<FeedEvent>(FeedSyncFailed {
            feed_id: self.own_feed,
            code: "feeds.document_malformed".to_owned(),
            reason: self.text("document"),
        });
        system.record(of_partner, self.own_feed.0, vec![registered, failed]).await;
        let older = id::<PatchId>();
        for (patch_id, number, supersedes) in [(older, 1, vec![]), (self.own_patch, 2, vec![self.text("1")])]
        {
            let facts = PatchFacts {
                patch_id,
                feed_id: self.own_feed,
                vendor_patch_id: self.text(&number.to_string()),
                name: self.text("own patch"),
                release_date: NaiveDate::from_ymd_opt(2026, 11, 2 + number).unwrap(),
                supersedes,
                ..self.patch_facts()
            };
            let published = Fact::of::<PatchEvent>(PatchPublished { patch: facts });
            system.record(of_partner, patch_id.0, vec![published]).await;
        }
        let missing = World { patch: self.own_patch, ..self.clone() }.missing();
        system.record(self.tenant(), self.device.0, vec![missing]).await;
        for tenant in [of_partner, self.tenant()] {
            let comment = Some(self.text("comment"));
            let rated = Fact::of::<RatingEvent>(PatchRated { patch_id: self.patch, rating: 4, comment });
            system.record(tenant, id::<PatchId>().0, vec![rated]).await;
        }
    }
}
