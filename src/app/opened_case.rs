//! A case of a run that was opened in the Playground, where something else may decide it than in the run.

use std::sync::Arc;

use super::State;
use crate::chat::Conversation;
use crate::decision::RouterInfo;
use crate::eval::Run;
use crate::formats::policy_digest;
use crate::policy::Policy;

/// A case that is decided otherwise on screen than in its run.
#[derive(Clone, Debug)]
pub struct OpenedCase {
    conversation: Arc<Conversation>,
    policy: Arc<Policy>,
    /// The router that was loaded, where that is a difference too.
    router: Option<RouterInfo>,
    notice: String,
}

impl State {
    /// Compares what decides on screen with what decided in a run, of which the conversation on screen is a case; `None` where that is the same.
    pub(super) fn opened_case(&self, run: &Run, own_routes: bool) -> Option<OpenedCase> {
        let mut differences = Vec::new();
        if own_routes {
            differences.push("among routes of its own".to_owned());
        } else if said(&run.policy) != said(self.routes()) {
            differences.push("with another policy".to_owned());
        }
        // A running gateway has a prompt of its own, whatever was asked for.
        if run.info.dialect != self.dialect() && run.info.router.live_gateway().is_none() {
            differences.push(format!("in the dialect {}", run.info.dialect));
        }
        let router = self.router.info().filter(|router| !router.decides_as(&run.info.router)).cloned();
        if router.is_some() {
            differences.push(format!("by the router {}{}", run.info.router.id, run.info.router.place()));
        }
        let last = differences.pop()?;
        let how = if differences.is_empty() { last } else { format!("{} and {last}", differences.join(", ")) };
        let notice =
            format!("The run decided this case {how}; here what is on screen decides. Choose the same to see the run's decision again");
        let (conversation, policy) = (Arc::clone(&self.conversation().text), Arc::clone(self.routes()));
        Some(OpenedCase { conversation, policy, router, notice })
    }

    /// Returns in a sentence what decides the case on screen otherwise than its run did, until something else is put on screen.
    pub fn opened_notice(&self) -> Option<&str> {
        let opened = self.batch.opened.as_ref()?;
        let is_on_screen = Arc::ptr_eq(&opened.conversation, &self.conversation().text)
            && Arc::ptr_eq(&opened.policy, self.routes())
            && (opened.router.is_none() || opened.router.as_ref() == self.router.info());
        is_on_screen.then_some(opened.notice.as_str())
    }
}

/// Of what decides: a copy under another name decides alike, and the dialect is told apart.
fn said(policy: &Policy) -> String {
    policy_digest(&Policy { name: None, dialect: None, ..Policy::clone(policy) })
}
