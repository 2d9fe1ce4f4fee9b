//! The journey on a real OpenStack, of `lab/README.md`.

use std::time::Duration;

use fast_cloud::web::page::Lang;

use crate::journey::rent_use_and_delete;
use crate::support::{Browser, Portal, browse_for};

fn portal() -> Portal {
    assert!(
        std::env::var("FASTCLOUD_TEST_LAB").is_ok_and(|set| set == "1"),
        "FASTCLOUD_TEST_LAB=1 says that the lab is up"
    );
    let lab = std::env::var("FASTCLOUD_LAB_DIR").unwrap_or_else(|_| "/var/lib/fastcloud-lab".to_owned());
    Portal::start(&[
        ("FASTCLOUD_CLOUD__COMPUTE", "openstack"),
        ("OS_CLIENT_CONFIG_FILE", &format!("{lab}/openstack/clouds.yaml")),
        ("OS_CLOUD", "fastcloud"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__IMAGE", "tiny-linux"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__NETWORK", "lab-net"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__SSH_USER", "root"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__SECURITY_GROUPS", r#"["ssh"]"#),
        ("FASTCLOUD_INSTANCE_TEMPLATES__NANO_FLAVOR", "tiny"),
    ])
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn the_journey_on_openstack() {
    let portal = portal();
    // Other tests may have the machine, too.
    let limit = Duration::from_secs(180);
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(500), async |page| {
        page.join("lab.student", "실습").await;
        page.log_out().await;
        rent_use_and_delete(page, Lang::Ko, "lab.student", limit).await;
        assert_eq!(page.count(".banner").await, 0, "nothing is pretended here");
    })
    .await;
}
