//! What each lane does, step by step, from the seed alone: ids follow from command ids, so no answer is needed to go on.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use contracts::Service;
use journeys::chaos::Chance;
use kernel::{CommandId, CustomerId, FeedId, PartnerId, PatchId, RuleId, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

/// Commands for one customer before a new one is registered: streams stay short, as most are in life.
const COMMANDS_PER_CUSTOMER: u64 = 40;

/// Steps of a hundred that go to the customer all lanes of a partner share, so that streams are contended.
const SHARED_PERCENT: u64 = 6;

/// Steps of a hundred that go over GraphQL, where they may.
const GRAPHQL_PERCENT: u64 = 12;

/// Steps of a hundred that are sent twice at the same moment.
const TWIN_PERCENT: u64 = 3;

/// How a command gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From service to service, as the gateway sends it.
    Internal,
    /// As a mutation.
    GraphQl,
}

/// One command with what it must write.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) command_id: CommandId,
    pub(crate) way: Way,
    pub(crate) service: Service,
    /// The command's or the mutation's name.
    pub(crate) name: String,
    /// The command or the mutation's input.
    pub(crate) body: Value,
    /// The types of the events that it writes, in order.
    pub(crate) events: &'static [&'static str],
    /// Whether it is sent twice at the same moment.
    pub(crate) twin: bool,
}

/// A wish, however it gets in.
enum Wish {
    RegisterPartner { name: String },
    RegisterCustomer { partner: PartnerId, name: String },
    InviteUser { partner: PartnerId, subject: String, role: &'static str },
    GrantRole { user: UserId },
    RevokeRole { user: UserId },
    AddToWhitelist { customer: CustomerId, text: String },
    RemoveFromWhitelist { customer: CustomerId, text: String },
    CreateRule { customer: CustomerId, name: String, severity: &'static str },
    ChangeRule { rule: RuleId, severity: &'static str },
    DisableRule { rule: RuleId },
    ApprovePatch { customer: CustomerId, patch: PatchId },
    RevokeApproval { customer: CustomerId, patch: PatchId },
    IssueEnrolmentToken { customer: CustomerId },
}

/// Why a person decided.
const COMMENT: &str = "decided by the load";

/// Longer than setting up takes.
const TOKEN_SECONDS: u32 = 3_600;

/// The role that is granted to and taken from users on the way.
const SECOND_ROLE: &str = "PARTNER_VIEWER";

impl Wish {
    fn service(&self) -> Service {
        match self {
            Self::RegisterPartner { .. }
            | Self::RegisterCustomer { .. }
            | Self::InviteUser { .. }
            | Self::GrantRole { .. }
            | Self::RevokeRole { .. } => Service::Tenancy,
            Self::AddToWhitelist { .. }
            | Self::RemoveFromWhitelist { .. }
            | Self::CreateRule { .. }
            | Self::ChangeRule { .. }
            | Self::DisableRule { .. }
            | Self::ApprovePatch { .. }
            | Self::RevokeApproval { .. } => Service::Approvals,
            Self::IssueEnrolmentToken { .. } => Service::Devices,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::RegisterPartner { .. } => "RegisterPartner",
            Self::RegisterCustomer { .. } => "RegisterCustomer",
            Self::InviteUser { .. } => "InviteUser",
            Self::GrantRole { .. } => "GrantRole",
            Self::RevokeRole { .. } => "RevokeRole",
            Self::AddToWhitelist { .. } => "AddToWhitelist",
            Self::RemoveFromWhitelist { .. } => "RemoveFromWhitelist",
            Self::CreateRule { .. } => "CreateRule",
            Self::ChangeRule { .. } => "ChangeRule",
            Self::DisableRule { .. } => "DisableRule",
            Self::ApprovePatch { .. } => "ApprovePatch",
            Self::RevokeApproval { .. } => "RevokeApproval",
            Self::IssueEnrolmentToken { .. } => "IssueEnrolmentToken",
        }
    }

    fn events(&self) -> &'static [&'static str] {
        match self {
            Self::RegisterPartner { .. } => &["tenancy.PartnerRegistered"],
            Self::RegisterCustomer { .. } => &["tenancy.CustomerRegistered"],
            Self::InviteUser { .. } => &["tenancy.UserInvited", "tenancy.RoleGranted"],
            Self::GrantRole { .. } => &["tenancy.RoleGranted"],
            Self::RevokeRole { .. } => &["tenancy.RoleRevoked"],
            Self::AddToWhitelist { .. } => &["approvals.WhitelistEntryAdded"],
            Self::RemoveFromWhitelist { .. } => &["approvals.WhitelistEntryRemoved"],
            Self::CreateRule { .. } => &["approvals.RuleCreated"],
            Self::ChangeRule { .. } => &["approvals.RuleVersionCreated"],
            Self::DisableRule { .. } => &["approvals.RuleDisabled"],
            Self::ApprovePatch { .. } => &["approvals.PatchApproved"],
            Self::RevokeApproval { .. } => &["approvals.ApprovalRevoked"],
            Self::IssueEnrolmentToken { .. } => &["devices.EnrolmentTokenIssued"],
        }
    }

    /// The command as services send it to each other.
    fn command(&self) -> Value {
        match self {
            Self::RegisterPartner { name } => json!({ "name": name }),
            Self::RegisterCustomer { partner, name } => {
                json!({ "partner_id": partner, "name": name, "time_zone": "Europe/Berlin" })
            }
            Self::InviteUser { partner, subject, role } => json!({
                "partner_id": partner, "subject": subject, "display_name": format!("Person {subject}"),
                "role": role.to_lowercase(), "customer_id": null,
            }),
            Self::GrantRole { user } | Self::RevokeRole { user } => {
                json!({ "user_id": user, "role": SECOND_ROLE.to_lowercase(), "customer_id": null })
            }
            Self::AddToWhitelist { customer, text } | Self::RemoveFromWhitelist { customer, text } => {
                json!({ "customer_id": customer, "pattern": { "kind": "product", "value": text } })
            }
            Self::CreateRule { customer, name, severity } => json!({
                "customer_id": customer, "name": name,
                "contents": contents(severity), "confirm": true,
            }),
            Self::ChangeRule { rule, severity } => {
                json!({ "rule_id": rule, "contents": contents(severity), "confirm": true })
            }
            Self::DisableRule { rule } => json!({ "rule_id": rule }),
            Self::ApprovePatch { customer, patch } | Self::RevokeApproval { customer, patch } => {
                let scope = json!({ "level": "CUSTOMER", "customer_id": customer });
                json!({ "scope": scope, "patch_id": patch, "comment": COMMENT })
            }
            Self::IssueEnrolmentToken { customer } => {
                json!({ "customer_id": customer, "valid_for_seconds": TOKEN_SECONDS })
            }
        }
    }

    /// The input of the mutation, without its key.
    fn input(&self) -> Value {
        match self {
            Self::RegisterPartner { name } => json!({ "name": name }),
            Self::RegisterCustomer { partner, name } => {
                json!({ "partnerId": global("Partner", partner.0), "name": name, "timeZone": "Europe/Berlin" })
            }
            Self::InviteUser { partner, subject, role } => json!({
                "partnerId": global("Partner", partner.0), "subject": subject,
                "displayName": format!("Person {subject}"), "role": role,
            }),
            Self::GrantRole { user } | Self::RevokeRole { user } => {
                json!({ "userId": global("User", user.0), "role": SECOND_ROLE })
            }
            Self::AddToWhitelist { customer, text } | Self::RemoveFromWhitelist { customer, text } => {
                json!({ "customerId": global("Customer", customer.0), "kind": "PRODUCT", "value": text })
            }
            Self::CreateRule { customer, name, severity } => json!({
                "customerId": global("Customer", customer.0), "name": name, "severities": [severity],
                "delayDays": 0, "confirm": true,
            }),
            Self::ChangeRule { rule, severity } => {
                json!({
                    "ruleId": global("Rule", rule.0), "severities": [severity], "delayDays": 0, "confirm": true,
                })
            }
            Self::DisableRule { rule } => json!({ "ruleId": global("Rule", rule.0) }),
            Self::ApprovePatch { customer, patch } | Self::RevokeApproval { customer, patch } => json!({
                "customerId": global("Customer", customer.0), "patchId": global("Patch", patch.0),
                "comment": COMMENT,
            }),
            Self::IssueEnrolmentToken { customer } => json!({
                "customerId": global("Customer", customer.0), "validForSeconds": TOKEN_SECONDS,
            }),
        }
    }

    /// The step in the name of `person`.
    fn step(&self, key: &str, way: Way, person: UserId, twin: bool) -> Step {
        let (command_id, name, body) = match way {
            Way::Internal => {
                (CommandId::derived(contracts::NAMESPACE, key), self.name().to_owned(), self.command())
            }
            Way::GraphQl => {
                let name = self.name()[..1].to_lowercase() + &self.name()[1..];
                let mut input = self.input();
                input["idempotencyKey"] = json!(key);
                // As the gateway derives it, so that what was stored can be found again.
                (CommandId::derived(person.0, &format!("{name}/{key}")), name, input)
            }
        };
        Step { command_id, way, service: self.service(), name, body, events: self.events(), twin }
    }
}

/// A global id as GraphQL takes it.
fn global(kind: &str, id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:{id}"))
}

/// The user id under which the platform operator with this subject acts.
pub(crate) fn operator_id(subject: &str) -> UserId {
    UserId::derived(contracts::NAMESPACE, &format!("operator/{subject}"))
}

/// A partner of the run, its administrator, and the customer that its lanes share.
#[derive(Debug, Clone)]
pub(crate) struct Partner {
    pub(crate) id: PartnerId,
    pub(crate) subject: String,
    pub(crate) person: UserId,
    pub(crate) shared: CustomerId,
}

/// The commands that make a partner, in the operator's name.
pub(crate) fn partner(seed: u64, number: u64, operator: UserId) -> (Partner, [Step; 3]) {
    let key = |what: &str| format!("chaos/{seed}/partner/{number}/{what}");
    let make = |wish: Wish, what: &str| wish.step(&key(what), Way::GraphQl, operator, false);
    let registered = make(Wish::RegisterPartner { name: format!("Partner {number}") }, "register");
    let partner_id = PartnerId::derived(registered.command_id.0, "partner");
    let subject = format!("chaos-{seed}-{number}");
    let invited = make(
        Wish::InviteUser { partner: partner_id, subject: subject.clone(), role: "PARTNER_ADMIN" },
        "invite",
    );
    let person = UserId::derived(invited.command_id.0, "user");
    let shared = make(Wish::RegisterCustomer { partner: partner_id, name: "Shared".to_owned() }, "shared");
    let customer = CustomerId::derived(shared.command_id.0, "customer");
    (Partner { id: partner_id, subject, person, shared: customer }, [registered, invited, shared])
}

/// Patches of the run's catalogue.
pub(crate) const PATCHES: u64 = 12;

/// The advisory that a patch is made from.
pub(crate) fn advisory(patch: u64) -> String {
    format!("DSA-{}-1", 9_000 + patch)
}

/// The id of a patch, which follows from its advisory.
pub(crate) fn patch_id(patch: u64) -> PatchId {
    PatchId::derived(contracts::NAMESPACE, &format!("debian/{}/debian:12", advisory(patch)))
}

/// The commands that make the catalogue, in the operator's name.
pub(crate) fn catalogue(seed: u64, operator: UserId) -> [Step; 2] {
    let make = |name: &str, events, mut input: Value| {
        let key = format!("chaos/{seed}/catalogue/{name}");
        input["idempotencyKey"] = json!(key);
        Step {
            command_id: CommandId::derived(operator.0, &format!("{name}/{key}")),
            way: Way::GraphQl,
            service: Service::Feeds,
            name: name.to_owned(),
            body: input,
            events,
            twin: false,
        }
    };
    let feed =
        json!({ "name": "Advisories", "kind": "OS_VENDOR", "format": "DEBIAN_DSA_LIST", "source": DOCUMENT });
    let registered = make("registerFeed", &["feeds.FeedRegistered"], feed);
    let feed_id = FeedId::derived(registered.command_id.0, "feed");
    let synced = make("syncFeed", SYNCED, json!({ "feedId": global("Feed", feed_id.0) }));
    [registered, synced]
}

/// What a first import writes in the operator's own command; patches have commands of their own.
const SYNCED: &[&str] = &["feeds.FeedSyncCompleted"];

/// The document from which the catalogue is made.
pub(crate) const DOCUMENT: &str = "advisories.txt";

/// The command that lets a device of the shared customer in, in the name of its partner's administrator.
pub(crate) fn enrolment(seed: u64, device: u64, partner: &Partner) -> Step {
    let wish = Wish::IssueEnrolmentToken { customer: partner.shared };
    // From service to service, where the answer holds the token.
    wish.step(&format!("chaos/{seed}/device/{device}"), Way::Internal, partner.person, false)
}

/// One sequence of commands, each sent when the one before it is acknowledged.
pub(crate) struct Lane {
    seed: u64,
    number: u64,
    pub(crate) partner: Partner,
    chance: Chance,
    taken: u64,
    customer: Option<CustomerId>,
    since_customer: u64,
    users: Vec<(UserId, bool)>,
    patterns: Vec<(CustomerId, String)>,
    rules: Vec<(RuleId, usize)>,
    /// Patches at the shared customer that this lane alone decides about, and whether they are approved.
    patches: Vec<(PatchId, bool)>,
}

const SEVERITIES: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];

/// Things that a lane remembers to change later; older ones are left as they are.
const REMEMBERED_MAX: usize = 50;

impl Lane {
    /// A lane that decides about `patches` of its partner's shared customer.
    pub(crate) fn new(seed: u64, number: u64, partner: Partner, patches: Vec<PatchId>) -> Self {
        Self {
            patches: patches.into_iter().map(|patch| (patch, false)).collect(),
            seed,
            number,
            partner,
            chance: Chance::new(seed, number + 1),
            taken: 0,
            customer: None,
            since_customer: 0,
            users: Vec::new(),
            patterns: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// The next command.
    pub(crate) fn step(&mut self) -> Step {
        self.taken += 1;
        self.since_customer += 1;
        let key = format!("chaos/{}/{}/{}", self.seed, self.number, self.taken);
        let twin = self.chance.percent(TWIN_PERCENT);
        let by_graphql = self.chance.percent(GRAPHQL_PERCENT);
        let way = if by_graphql { Way::GraphQl } else { Way::Internal };
        let customer = match self.customer {
            Some(customer) if self.since_customer < COMMANDS_PER_CUSTOMER => customer,
            Some(_) | None => {
                let wish = Wish::RegisterCustomer {
                    partner: self.partner.id,
                    name: format!("Customer {} of lane {}", self.taken, self.number),
                };
                // Over GraphQL, which answers when the event has its position: only then do others have to know of it.
                let step = wish.step(&key, Way::GraphQl, self.partner.person, twin);
                self.customer = Some(CustomerId::derived(step.command_id.0, "customer"));
                self.since_customer = 0;
                return step;
            }
        };
        let customer = if self.chance.percent(SHARED_PERCENT) { self.partner.shared } else { customer };
        let wish = self.wish(customer);
        let step = wish.step(&key, way, self.partner.person, twin);
        self.remember(&wish, step.command_id);
        step
    }

    fn wish(&mut self, customer: CustomerId) -> Wish {
        let severity = self.chance.below(SEVERITIES.len() as u64);
        let severity = usize::try_from(severity).unwrap_or(0);
        let index =
            |chance: &mut Chance, count: usize| usize::try_from(chance.below(count as u64)).unwrap_or(0);
        match self.chance.below(100) {
            // Decisions of people, which make deployments possible and alerts come and go.
            20..30 if !self.patches.is_empty() => {
                let at = index(&mut self.chance, self.patches.len());
                let (patch, approved) = &mut self.patches[at];
                *approved = !*approved;
                let (customer, patch) = (self.partner.shared, *patch);
                if *approved {
                    Wish::ApprovePatch { customer, patch }
                } else {
                    Wish::RevokeApproval { customer, patch }
                }
            }
            30..45 if !self.users.is_empty() => {
                let at = index(&mut self.chance, self.users.len());
                let (user, holds) = &mut self.users[at];
                *holds = !*holds;
                let user = *user;
                if *holds { Wish::GrantRole { user } } else { Wish::RevokeRole { user } }
            }
            45..63 => {
                let text = format!("product {} of lane {}", self.taken, self.number);
                Wish::AddToWhitelist { customer, text }
            }
            63..70 if !self.patterns.is_empty() => {
                let at = index(&mut self.chance, self.patterns.len());
                let (customer, text) = self.patterns.swap_remove(at);
                Wish::RemoveFromWhitelist { customer, text }
            }
            70..82 => {
                let name = format!("Rule {} of lane {}", self.taken, self.number);
                Wish::CreateRule { customer, name, severity: SEVERITIES[severity] }
            }
            82..95 if !self.rules.is_empty() => {
                let at = index(&mut self.chance, self.rules.len());
                let (rule, known) = &mut self.rules[at];
                // The same conditions again would be nothing to record.
                *known = (*known + 1) % SEVERITIES.len();
                Wish::ChangeRule { rule: *rule, severity: SEVERITIES[*known] }
            }
            95..97 if !self.rules.is_empty() => {
                let at = index(&mut self.chance, self.rules.len());
                Wish::DisableRule { rule: self.rules.swap_remove(at).0 }
            }
            _ => Wish::InviteUser {
                partner: self.partner.id,
                subject: format!("chaos-{}-{}-{}", self.seed, self.number, self.taken),
                role: "PARTNER_OPERATOR",
            },
        }
    }

    fn remember(&mut self, wish: &Wish, command_id: CommandId) {
        match wish {
            Wish::InviteUser { .. } => push(&mut self.users, (UserId::derived(command_id.0, "user"), false)),
            Wish::AddToWhitelist { customer, text } => push(&mut self.patterns, (*customer, text.clone())),
            Wish::CreateRule { severity, .. } => {
                let known = SEVERITIES.iter().position(|known| known == severity).unwrap_or(0);
                push(&mut self.rules, (RuleId::derived(command_id.0, "rule"), known));
            }
            Wish::RegisterPartner { .. }
            | Wish::RegisterCustomer { .. }
            | Wish::GrantRole { .. }
            | Wish::RevokeRole { .. }
            | Wish::RemoveFromWhitelist { .. }
            | Wish::ChangeRule { .. }
            | Wish::DisableRule { .. }
            | Wish::ApprovePatch { .. }
            | Wish::RevokeApproval { .. }
            | Wish::IssueEnrolmentToken { .. } => {}
        }
    }
}

fn contents(severity: &str) -> Value {
    json!({
        "groups": [],
        "conditions": {
            "severities": [severity], "classifications": [], "products": [], "vendors": [], "os_releases": [],
            "minimum_rating": null, "kev_only": false, "minimum_age_days": null,
        },
        "timing": { "kind": "DELAY", "days": 0 },
    })
}

fn push<T>(known: &mut Vec<T>, new: T) {
    if known.len() == REMEMBERED_MAX {
        known.remove(0);
    }
    known.push(new);
}

#[cfg(test)]
mod tests {
    use super::{Lane, operator_id, partner};
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_commands_and_no_two_of_them_are_one() {
        let commands = |seed| {
            let (home, _) = partner(seed, 0, operator_id("operator"));
            let mut lane = Lane::new(seed, 3, home, vec![super::patch_id(1)]);
            (0..500).map(|_| lane.step()).map(|step| (step.command_id, step.body)).collect::<Vec<_>>()
        };
        let first = commands(7);
        assert_eq!(first, commands(7));
        assert_ne!(first, commands(8));
        assert_eq!(first.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), 500);
    }
}
