//! The practice cloud's containers as the portal meets them: through the trait, by the real clock.

use std::future::Future;
use std::path::PathBuf;

use secrecy::SecretString;

use super::*;
use crate::cloud::cluster::NamespaceLimits;
use crate::ids::AccountId;

const LIMITS: NamespaceLimits = NamespaceLimits { applications: 5, pods: 10, cpu_millis: 4_000, memory_mb: 4_096 };

/// Nothing takes any time.
const AT_ONCE: Duration = Duration::ZERO;
/// A folder for a test's state, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("fast-cloud-practice-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Lab {
    cluster: Arc<PracticeCluster>,
    folder: Folder,
    portal: Uuid,
    account: AccountId,
}

impl Lab {
    async fn new(settle: Duration) -> Self {
        let folder = Folder::new();
        let cluster = Arc::new(PracticeCluster::new(&folder.0, settle).unwrap());
        let lab = Self { cluster, folder, portal: Uuid::new_v4(), account: AccountId::new() };
        lab.limits(LIMITS).await;
        lab
    }

    async fn limits(&self, limits: NamespaceLimits) {
        let order = NamespaceOrder { portal: self.portal, account: self.account, limits };
        self.cluster.prepare(&order).await.unwrap();
    }

    fn order(&self, image: &str) -> DeployOrder {
        let owner = AppOwner { portal: self.portal, account: self.account, application: ApplicationId::new() };
        DeployOrder {
            owner,
            image: image.to_owned(),
            pull_always: false,
            internal_port: 80,
            external_port: 80,
            replicas: 1,
            cpu_millis: 250,
            memory_mb: 128,
            variables: Vec::new(),
            secret_names: Vec::new(),
            revision: 1,
            host: format!("{}.apps.localhost", object_name(owner.application)),
        }
    }

    async fn deploy(&self, order: &DeployOrder) {
        self.cluster.apply_deployment(order).await.unwrap();
        self.cluster.apply_service(order).await.unwrap();
        self.cluster.apply_ingress(order).await.unwrap();
    }

    async fn pod(&self, order: &DeployOrder) -> crate::cloud::cluster::PodSeen {
        let mut seen = self.cluster.show(order.owner).await.unwrap();
        assert_eq!(seen.pods.len(), 1, "{seen:?}");
        seen.pods.remove(0)
    }

    async fn log(&self, order: &DeployOrder, previous: bool) -> Result<Vec<String>, CloudError> {
        let pod = self.pod(order).await.name;
        let request = LogRequest { owner: order.owner, pod, previous, follow: false, tail: 100 };
        let lines = self.cluster.logs(&request).await?;
        Ok(lines.map(|line| line.unwrap().text).collect().await)
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap()
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("in vain: {what}");
}

#[tokio::test]
async fn a_whole_life() {
    let lab = Lab::new(Duration::from_millis(80)).await;
    let mut order = lab.order("hello:1");
    let owner = order.owner;
    lab.deploy(&order).await;
    assert!(lab.cluster.presence(owner).await.unwrap().is_complete());
    let answers = async || lab.cluster.answer(&order.host, "/").await.unwrap_or_default();
    until("hello:1 answers", async || answers().await.contains("Hello from app-")).await;
    let first = lab.pod(&order).await;
    assert!(first.ready && first.digest.as_deref().is_some_and(|digest| digest.starts_with("sha256:")), "{first:?}");
    let seen = lab.cluster.show(owner).await.unwrap().deployment.unwrap();
    assert_eq!((seen.generation, seen.observed_generation, seen.ready, seen.total), (1, 1, 1, 1));

    // The old one answers until the new one does.
    (order.image, order.revision) = ("hello:2".to_owned(), 2);
    lab.deploy(&order).await;
    let answers = async || lab.cluster.answer(&order.host, "/").await.expect("there is always one that answers");
    let mut former = 0;
    until("hello:2 answers", async || {
        let page = answers().await;
        assert!(page.contains("Hello from app-") || page.contains("Hello again from app-"), "{page}");
        page.contains("Hello again")
    })
    .await;
    until("the old pod is gone", async || {
        former += 1;
        assert!(answers().await.contains("Hello again"));
        lab.cluster.show(owner).await.unwrap().pods.len() == 1
    })
    .await;
    assert!(former > 0);

    lab.cluster.scale(owner, 3).await.unwrap();
    until("three are ready", async || {
        lab.cluster.show(owner).await.unwrap().deployment.is_some_and(|seen| seen.ready == 3 && seen.wanted == 3)
    })
    .await;
    lab.cluster.scale(owner, 0).await.unwrap();
    until("all have stopped", async || lab.cluster.show(owner).await.unwrap().pods.is_empty()).await;
    assert_eq!(lab.cluster.reply(&order.host).await.unwrap(), Reply::NotReady);
    lab.cluster.scale(owner, 1).await.unwrap();
    until("it has started", async || lab.cluster.answer(&order.host, "/").await.is_some()).await;

    for part in [Part::Ingress, Part::Service, Part::Deployment, Part::Secret] {
        lab.cluster.delete(owner, part).await.unwrap();
        lab.cluster.delete(owner, part).await.unwrap();
    }
    assert_eq!(lab.cluster.reply(&order.host).await.unwrap(), Reply::Unknown);
    until("everything is gone", async || lab.cluster.presence(owner).await.unwrap().is_gone()).await;
    assert_eq!(lab.cluster.objects().await.unwrap().len(), 0);
    assert!(lab.cluster.list(lab.portal).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_image_decides() {
    let lab = Lab::new(AT_ONCE).await;
    lab.limits(NamespaceLimits { applications: 50, pods: 50, cpu_millis: 100_000, memory_mb: 100_000 }).await;
    for (image, reason, part_of_message) in [
        ("nginx-missing:1", "ImagePullBackOff", "not found"),
        ("me/does-not-exist", "ImagePullBackOff", "not found"),
        ("limited", "ImagePullBackOff", "toomanyrequests"),
        ("foreign:1", "ImagePullBackOff", "no match for platform"),
        ("Not Valid", "InvalidImageName", "invalid reference format"),
        ("crash:1", "CrashLoopBackOff", "back-off"),
        ("exit0", "CrashLoopBackOff", "back-off"),
        ("busybox", "CrashLoopBackOff", "back-off"),
        ("hog:1", "CrashLoopBackOff", "back-off"),
    ] {
        let order = lab.order(image);
        lab.deploy(&order).await;
        let pod = lab.pod(&order).await;
        let waiting = pod.waiting.clone().unwrap_or_default();
        assert_eq!(waiting.reason, reason, "{image}");
        assert!(waiting.message.contains(part_of_message), "{image}: {}", waiting.message);
        assert!(!pod.ready && pod.running_since.is_none());
        assert_eq!(lab.cluster.reply(&order.host).await.unwrap(), Reply::NotReady, "{image}");
        let events = lab.cluster.events(order.owner).await.unwrap();
        assert!(events.iter().any(|event| event.warning), "{image}: {events:?}");
        let listeners = lab.cluster.listeners(order.owner, &pod.name, &[], Duration::from_secs(1)).await;
        assert!(matches!(listeners, Err(CloudError::Conflict(_))), "{image}");
    }
    for (image, exit_code, ended) in
        [("crash:1", 1, "Error"), ("exit0", 0, "Completed"), ("hello-world", 0, "Completed"), ("hog", 137, "OOMKilled")]
    {
        let order = lab.order(image);
        lab.deploy(&order).await;
        let pod = lab.pod(&order).await;
        let end = pod.ended.unwrap();
        assert_eq!((end.exit_code, end.reason.as_str(), pod.restarts), (exit_code, ended, 1), "{image}");
        assert!(!lab.log(&order, false).await.unwrap().is_empty());
        assert!(!lab.log(&order, true).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_listens_where() {
    let lab = Lab::new(AT_ONCE).await;
    lab.limits(NamespaceLimits { applications: 50, pods: 50, cpu_millis: 100_000, memory_mb: 100_000 }).await;
    let open = |port| Listeners { open: vec![port], loopback: Vec::new(), complete: true };
    for (image, port, ready, expected) in [
        ("nginx", 80, true, open(80)),
        ("nginx", 8080, false, open(80)),
        ("hello:1", 3000, false, open(80)),
        ("me/express", 3000, true, open(3000)),
        ("me/app:v2", 4567, true, open(4567)),
        ("port8080", 80, false, open(8080)),
        ("mislabelled", 8080, true, open(8080)),
        ("silent:1", 80, false, Listeners { complete: true, ..Listeners::default() }),
        ("loopback", 80, false, Listeners { open: Vec::new(), loopback: vec![80], complete: true }),
    ] {
        let mut order = lab.order(image);
        order.internal_port = port;
        lab.deploy(&order).await;
        let pod = lab.pod(&order).await;
        assert!(pod.running_since.is_some() && pod.waiting.is_none(), "{image}: {pod:?}");
        assert_eq!(pod.ready, ready, "{image} asked on {port}");
        let listeners = lab.cluster.listeners(order.owner, &pod.name, &[], Duration::from_secs(1)).await.unwrap();
        assert_eq!(listeners, expected, "{image}");
        assert_eq!(lab.cluster.answer(&order.host, "/").await.is_some(), ready, "{image}");
        let told = lab.cluster.events(order.owner).await.unwrap();
        assert_eq!(told.iter().any(|event| event.reason == "Unhealthy"), !ready, "{image}");
    }
}

#[tokio::test]
async fn variables_reach_the_container() {
    let lab = Lab::new(AT_ONCE).await;
    let mut order = lab.order("env:1");
    order.variables = vec![("GREETING".to_owned(), "<b>안녕</b>".to_owned())];
    lab.deploy(&order).await;
    let page = lab.cluster.answer(&order.host, "/").await.unwrap();
    assert!(page.contains("&lt;b&gt;안녕&lt;/b&gt;") && !page.contains("<b>안녕"), "{page}");

    // As a secret: it waits until there is one.
    let mut order = lab.order("env:1");
    order.secret_names = vec!["GREETING".to_owned()];
    lab.deploy(&order).await;
    let waiting = lab.pod(&order).await.waiting.unwrap();
    assert_eq!(waiting.reason, "CreateContainerConfigError");
    let set = SecretOrder {
        set: vec![("GREETING".to_owned(), SecretString::from("secret words"))],
        keep: vec!["GREETING".to_owned()],
    };
    lab.cluster.apply_secret(order.owner, &set).await.unwrap();
    assert!(lab.cluster.answer(&order.host, "/").await.unwrap().contains("secret words"));
    assert!(lab.cluster.presence(order.owner).await.unwrap().secret);
    // Kept without being set again; then not kept.
    let kept = SecretOrder { set: Vec::new(), keep: vec!["GREETING".to_owned()] };
    lab.cluster.apply_secret(order.owner, &kept).await.unwrap();
    order.revision = 2;
    lab.deploy(&order).await;
    assert!(lab.cluster.answer(&order.host, "/").await.unwrap().contains("secret words"));
    lab.cluster.apply_secret(order.owner, &SecretOrder::default()).await.unwrap();
    assert!(!lab.cluster.presence(order.owner).await.unwrap().secret);
}

#[tokio::test]
async fn limits_are_enforced() {
    let lab = Lab::new(AT_ONCE).await;
    lab.limits(NamespaceLimits { applications: 2, pods: 2, cpu_millis: 500, memory_mb: 4_096 }).await;
    let (one, two, three) = (lab.order("hello:1"), lab.order("hello:1"), lab.order("hello:1"));
    lab.deploy(&one).await;
    lab.deploy(&two).await;
    for refused in [
        lab.cluster.apply_deployment(&three).await,
        lab.cluster.apply_service(&three).await,
        lab.cluster.apply_ingress(&three).await,
    ] {
        let Err(CloudError::QuotaExceeded(message)) = refused else { panic!("{refused:?}") };
        assert!(message.contains("exceeded quota"), "{message}");
    }
    assert!(lab.cluster.presence(three.owner).await.unwrap().is_gone());
    // Those that are there may be applied again.
    lab.deploy(&two).await;

    // Pods are not refused to the caller: the Deployment says it.
    lab.cluster.scale(two.owner, 2).await.unwrap();
    let seen = lab.cluster.show(two.owner).await.unwrap().deployment.unwrap();
    let message = seen.replica_failure.unwrap();
    assert!(message.contains("exceeded quota") && message.contains("limits.cpu=250m"), "{message}");
    assert!(message.contains("pods=2"), "{message}");
    assert_eq!((seen.wanted, seen.ready), (2, 1));
    assert!(lab.cluster.events(two.owner).await.unwrap().iter().any(|event| event.reason == "FailedCreate"));
    // Room comes when the other one goes, or with a higher limit.
    lab.cluster.delete(one.owner, Part::Deployment).await.unwrap();
    let seen = lab.cluster.show(two.owner).await.unwrap().deployment.unwrap();
    assert_eq!((seen.replica_failure, seen.ready), (None, 2));
    lab.cluster.scale(two.owner, 3).await.unwrap();
    lab.limits(LIMITS).await;
    let seen = lab.cluster.show(two.owner).await.unwrap().deployment.unwrap();
    assert_eq!((seen.replica_failure, seen.ready), (None, 3));

    // Nobody's namespace.
    let mut other = lab.order("hello:1");
    other.owner.account = AccountId::new();
    assert!(matches!(lab.cluster.apply_deployment(&other).await, Err(CloudError::NotFound(_))));
}

#[tokio::test]
async fn an_impossible_size_finds_no_node() {
    let lab = Lab::new(AT_ONCE).await;
    lab.limits(NamespaceLimits { cpu_millis: 100_000, ..LIMITS }).await;
    let mut order = lab.order("hello:1");
    order.cpu_millis = 16_001;
    lab.deploy(&order).await;
    let pod = lab.pod(&order).await;
    let why = pod.unschedulable.unwrap();
    assert_eq!(why.message, "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!((pod.phase.as_str(), pod.waiting), ("Pending", None));
    let events = lab.cluster.events(order.owner).await.unwrap();
    assert!(events.iter().any(|event| event.reason == "FailedScheduling"), "{events:?}");
    assert!(matches!(lab.log(&order, false).await, Err(CloudError::NotFound(_))));
}

#[tokio::test]
async fn a_rollout_that_fails_keeps_the_old_one() {
    let lab = Lab::new(AT_ONCE).await;
    let mut order = lab.order("hello:1");
    order.replicas = 2;
    lab.deploy(&order).await;
    for image in ["crash:1", "missing:1"] {
        (order.image, order.revision) = (image.to_owned(), order.revision + 1);
        lab.deploy(&order).await;
        let seen = lab.cluster.show(order.owner).await.unwrap();
        let deployment = seen.deployment.unwrap();
        assert_eq!((deployment.updated, deployment.available, deployment.total), (1, 2, 3), "{image}");
        assert_eq!(seen.pods.iter().filter(|pod| pod.ready && pod.revision == 1).count(), 2);
        assert!(lab.cluster.answer(&order.host, "/").await.unwrap().contains("Hello from"));
    }
    (order.image, order.revision) = ("hello:2".to_owned(), 4);
    lab.deploy(&order).await;
    let seen = lab.cluster.show(order.owner).await.unwrap();
    assert_eq!(seen.pods.iter().map(|pod| (pod.revision, pod.ready)).collect::<Vec<_>>(), [(4, true), (4, true)]);
    // The same again changes nothing.
    let generation = seen.deployment.unwrap().generation;
    lab.deploy(&order).await;
    let again = lab.cluster.show(order.owner).await.unwrap();
    assert_eq!((again.deployment.unwrap().generation, again.pods), (generation, seen.pods));
}

#[tokio::test]
async fn changes_are_told_once() {
    let lab = Lab::new(AT_ONCE).await;
    let order = lab.order("hello:1");
    lab.deploy(&order).await;
    let everything = in_time(lab.cluster.changes(lab.portal)).await;
    assert_eq!(everything, lab.cluster.list(lab.portal).await.unwrap());
    let next = lab.cluster.changes(lab.portal);
    assert!(tokio::time::timeout(Duration::from_millis(100), next).await.is_err(), "nothing has changed");

    // Another process changes it; another portal's are not ours.
    let elsewhere = PracticeCluster::new(&lab.folder.0, AT_ONCE).unwrap();
    let mut foreign = lab.order("hello:1");
    foreign.owner.portal = Uuid::new_v4();
    elsewhere.apply_deployment(&foreign).await.unwrap();
    elsewhere.scale_outside(order.owner.application, 2).await.unwrap();
    let news = in_time(lab.cluster.changes(lab.portal)).await;
    assert_eq!(news.iter().map(|seen| (seen.owner, seen.pods.len())).collect::<Vec<_>>(), [(order.owner, 2)]);

    elsewhere.remove_deployment(order.owner.application).await.unwrap();
    let news = in_time(lab.cluster.changes(lab.portal)).await;
    assert_eq!(news, [Observed { owner: order.owner, deployment: None, pods: Vec::new() }]);

    // A broken watch says nothing, and goes on when it is healed.
    lab.cluster.script(ClusterFault::Hang);
    elsewhere.apply_deployment(&order).await.unwrap();
    let silent = lab.cluster.changes(lab.portal);
    assert!(tokio::time::timeout(Duration::from_millis(100), silent).await.is_err());
    assert_eq!(lab.cluster.heal(), 1);
    assert_eq!(in_time(lab.cluster.changes(lab.portal)).await.len(), 1);
}

#[tokio::test]
async fn it_outlives_its_process_and_is_shared() {
    let lab = Lab::new(AT_ONCE).await;
    let order = lab.order("hello:1");
    lab.deploy(&order).await;
    let seen = lab.cluster.show(order.owner).await.unwrap();
    let other = PracticeCluster::new(&lab.folder.0, AT_ONCE).unwrap();
    assert_eq!(other.show(order.owner).await.unwrap(), seen);
    // Many at once, of two processes: none is lost.
    lab.limits(NamespaceLimits { applications: 100, pods: 100, cpu_millis: 100_000, memory_mb: 100_000 }).await;
    let orders: Vec<DeployOrder> = (0..20).map(|_| lab.order("hello:1")).collect();
    let clusters = [&*lab.cluster, &other];
    let all = orders.iter().zip(clusters.iter().cycle()).map(|(order, cluster)| cluster.apply_deployment(order));
    for result in futures::future::join_all(all).await {
        result.unwrap();
    }
    for cluster in clusters {
        assert_eq!(cluster.list(lab.portal).await.unwrap().len(), 21);
    }
    // A process that was killed while it wrote leaves a rest beside the state.
    std::fs::write(lab.folder.0.join("cluster.new"), "{\"namespaces\": {").unwrap();
    let after = PracticeCluster::new(&lab.folder.0, AT_ONCE).unwrap();
    assert_eq!(after.list(lab.portal).await.unwrap().len(), 21);
    after.scale(order.owner, 2).await.unwrap();
    assert_eq!(lab.cluster.show(order.owner).await.unwrap().pods.len(), 2);
}

#[tokio::test]
async fn faults_are_used_up() {
    let lab = Lab::new(AT_ONCE).await;
    let order = lab.order("hello:1");
    let refusal = || CloudError::Rejected("scripted".to_owned());
    lab.cluster.script(ClusterFault::Step(Step::Apply(Part::Service), refusal()));
    lab.cluster.script(ClusterFault::AnswerLost(Step::Apply(Part::Deployment)));
    let calls = lab.cluster.calls();
    assert!(matches!(lab.cluster.apply_deployment(&order).await, Err(CloudError::Unavailable { .. })));
    assert!(lab.cluster.presence(order.owner).await.unwrap().deployment, "it was carried out");
    assert!(matches!(lab.cluster.apply_service(&order).await, Err(CloudError::Rejected(_))));
    assert!(!lab.cluster.presence(order.owner).await.unwrap().service, "it was not");
    lab.deploy(&order).await;
    assert_eq!(lab.cluster.calls() - calls, 7);

    lab.cluster.script(ClusterFault::Down(CloudError::unavailable("down")));
    assert!(matches!(lab.cluster.ping().await, Err(CloudError::Unavailable { .. })));
    assert!(matches!(lab.cluster.list(lab.portal).await, Err(CloudError::Unavailable { .. })));
    // Containers go on.
    assert!(lab.cluster.answer(&order.host, "/").await.is_some());
    assert_eq!(lab.cluster.heal(), 1);
    lab.cluster.ping().await.unwrap();

    lab.cluster.script(ClusterFault::Hang);
    assert!(tokio::time::timeout(Duration::from_millis(50), lab.cluster.ping()).await.is_err());
    let listeners = lab.cluster.listeners(order.owner, "any", &[], Duration::from_millis(50)).await;
    assert!(matches!(listeners, Err(CloudError::Unavailable { .. })), "ends within its limit");
    assert_eq!(lab.cluster.heal(), 1);
    assert_eq!(lab.cluster.heal(), 0);
}

#[tokio::test]
async fn logs_are_clean_and_can_be_followed() {
    let lab = Lab::new(AT_ONCE).await;
    let loud = lab.order("loud");
    lab.deploy(&loud).await;
    let lines = lab.log(&loud, false).await.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("<script>")), "text is text: {lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= LogLine::LONGEST && !line.chars().any(char::is_control)));
    assert!(!lines.concat().contains("another title"));

    let hello = lab.order("hello:1");
    lab.deploy(&hello).await;
    assert_eq!(lab.log(&hello, false).await.unwrap().last().map(String::as_str), Some("Listening on 0.0.0.0:80"));
    assert!(matches!(lab.log(&hello, true).await, Err(CloudError::NotFound(_))), "it was never restarted");
    let pod = lab.pod(&hello).await.name;
    let mut request = LogRequest { owner: hello.owner, pod, previous: false, follow: true, tail: 1 };
    let mut lines = lab.cluster.logs(&request).await.unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "Listening on 0.0.0.0:80");
    assert_eq!(in_time(lines.next()).await.unwrap().unwrap().text, HEARTBEAT);
    lab.cluster.delete(hello.owner, Part::Deployment).await.unwrap();
    assert!(in_time(lines.next()).await.is_none(), "it ends with its pod");
    lab.deploy(&hello).await;
    request.pod = lab.pod(&hello).await.name;
    let mut lines = lab.cluster.logs(&request).await.unwrap();
    assert!(in_time(lines.next()).await.unwrap().is_ok());
    lab.cluster.script(ClusterFault::Down(CloudError::unavailable("down")));
    assert!(in_time(lines.next()).await.unwrap().is_err(), "it breaks off");
    assert!(in_time(lines.next()).await.is_none());
    lab.cluster.heal();
    request.pod = "app-other".to_owned();
    assert!(matches!(lab.cluster.logs(&request).await, Err(CloudError::NotFound(_))));
    // Nobody reads another application's.
    let stranger = LogRequest { owner: hello.owner, pod: lab.pod(&loud).await.name, ..request };
    assert!(matches!(lab.cluster.logs(&stranger).await, Err(CloudError::NotFound(_))));
}

#[tokio::test]
async fn events_tell_a_story_newest_first() {
    let lab = Lab::new(Duration::from_millis(40)).await;
    let order = lab.order("hello:1");
    lab.deploy(&order).await;
    until("it answers", async || lab.cluster.answer(&order.host, "/").await.is_some()).await;
    let mut events = lab.cluster.events(order.owner).await.unwrap();
    events.reverse();
    let reasons: Vec<&str> = events.iter().map(|event| event.reason.as_str()).collect();
    let story = ["ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Pulling", "Pulled", "Started"];
    assert_eq!(reasons, story, "{events:?}");
    assert!(events.iter().all(|event| !event.warning && event.at.is_some()));
    assert_eq!(events.iter().filter(|event| event.pod.is_some()).count(), 4);
}

#[tokio::test]
async fn a_host_belongs_to_who_took_it_first() {
    let lab = Lab::new(AT_ONCE).await;
    let first = lab.order("hello:1");
    let mut second = lab.order("hello:2");
    second.host.clone_from(&first.host);
    lab.deploy(&first).await;
    lab.deploy(&second).await;
    let upper = first.host.to_uppercase();
    assert!(lab.cluster.answer(&upper, "/").await.unwrap().contains("Hello from"));
    lab.cluster.delete(first.owner, Part::Ingress).await.unwrap();
    assert!(lab.cluster.answer(&upper, "/").await.unwrap().contains("Hello again from"));
    lab.cluster.delete(second.owner, Part::Service).await.unwrap();
    assert_eq!(lab.cluster.reply(&upper).await.unwrap(), Reply::NotReady, "nothing leads to its pods");
}

#[tokio::test]
async fn check_says_whether_the_folder_works() {
    let lab = Lab::new(AT_ONCE).await;
    assert!(matches!(lab.cluster.check().await[0].outcome, CheckOutcome::Works(_)));
    std::fs::write(lab.folder.0.join("cluster.json"), "no JSON").unwrap();
    assert!(matches!(lab.cluster.check().await[0].outcome, CheckOutcome::Fails { .. }));
    assert!(lab.cluster.ping().await.is_err());
}
