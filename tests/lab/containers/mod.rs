//! Containers on the lab's Kubernetes.

pub mod crash;
mod failures;
mod hosts;
mod life;
mod outage;
mod rights;
mod specs;

pub const NO_IMAGE: &str = "컨테이너 이미지를 찾을 수 없습니다. 이미지 주소를 확인해주세요.";
pub const NO_ROOM: &str = "클러스터 리소스가 부족하여 배포할 수 없습니다.";
