//! The tables, as `migrations/` makes them.

diesel::table! {
    accounts (id) {
        id -> Binary,
        login_id -> Varchar,
        name -> Varchar,
        birth_date -> Date,
        password_hash -> Varchar,
        role -> Varchar,
        active -> Bool,
        created_at -> Datetime,
        updated_at -> Datetime,
    }
}

diesel::table! {
    account_quotas (account_id) {
        account_id -> Binary,
        instances -> Nullable<Unsigned<Integer>>,
        vcpus -> Nullable<Unsigned<Integer>>,
        ram_mb -> Nullable<Unsigned<Integer>>,
        applications -> Nullable<Unsigned<Integer>>,
        app_cpu_millis -> Nullable<Unsigned<Integer>>,
        app_memory_mb -> Nullable<Unsigned<Integer>>,
        buckets -> Nullable<Unsigned<Integer>>,
        storage_mb -> Nullable<Unsigned<Integer>>,
    }
}

diesel::table! {
    sessions (key_hash) {
        key_hash -> Binary,
        account_id -> Nullable<Binary>,
        state -> Text,
        created_at -> Datetime,
        expires_at -> Datetime,
    }
}

diesel::table! {
    throttles (subject) {
        subject -> Varchar,
        failures -> Unsigned<Integer>,
        window_started_at -> Datetime,
        last_at -> Datetime,
    }
}

diesel::table! {
    settings (name) {
        name -> Varchar,
        value -> Binary,
    }
}

diesel::table! {
    setup_links (token_hash) {
        token_hash -> Binary,
        created_at -> Datetime,
        expires_at -> Datetime,
        used_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    ssh_keys (id) {
        id -> Binary,
        account_id -> Binary,
        name -> Varchar,
        public_key -> Text,
        fingerprint -> Varchar,
        algorithm -> Varchar,
        generated -> Bool,
        created_at -> Datetime,
    }
}

diesel::table! {
    instance_templates (id) {
        id -> Binary,
        name -> Varchar,
        purpose_ko -> Varchar,
        purpose_en -> Varchar,
        image -> Varchar,
        flavor -> Varchar,
        network -> Varchar,
        floating_network -> Varchar,
        security_groups -> Varchar,
        key_pair -> Varchar,
        ssh_user -> Varchar,
        user_data -> Text,
        vcpus -> Unsigned<Integer>,
        ram_mb -> Unsigned<Integer>,
        disk_gb -> Unsigned<Integer>,
        swap_mb -> Unsigned<Integer>,
        position -> Integer,
        enabled -> Bool,
        created_at -> Datetime,
        updated_at -> Datetime,
    }
}

diesel::table! {
    instances (id) {
        id -> Binary,
        account_id -> Binary,
        name -> Varchar,
        template_id -> Nullable<Binary>,
        template_name -> Varchar,
        spec -> Text,
        vcpus -> Unsigned<Integer>,
        ram_mb -> Unsigned<Integer>,
        disk_gb -> Unsigned<Integer>,
        nova_id -> Nullable<Binary>,
        status -> Varchar,
        transition -> Nullable<Varchar>,
        transition_accepted -> Bool,
        reason -> Nullable<Varchar>,
        reason_text -> Nullable<Varchar>,
        ip_address -> Nullable<Varchar>,
        floating_ip -> Nullable<Varchar>,
        launch_key -> Varchar,
        version -> Unsigned<Integer>,
        created_at -> Datetime,
        updated_at -> Datetime,
        deleted_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    operations (id) {
        id -> Binary,
        account_id -> Binary,
        resource_kind -> Varchar,
        resource_id -> Binary,
        action -> Varchar,
        state -> Varchar,
        attempts -> Unsigned<Integer>,
        run_after -> Datetime,
        leased_by -> Nullable<Varchar>,
        leased_until -> Nullable<Datetime>,
        error -> Nullable<Varchar>,
        created_at -> Datetime,
        updated_at -> Datetime,
    }
}

diesel::table! {
    instance_events (id) {
        id -> Binary,
        instance_id -> Binary,
        kind -> Varchar,
        detail -> Nullable<Varchar>,
        created_at -> Datetime,
    }
}

diesel::table! {
    strays (nova_id) {
        nova_id -> Binary,
        name -> Varchar,
        reason -> Varchar,
        instance_id -> Nullable<Binary>,
        first_seen_at -> Datetime,
        last_seen_at -> Datetime,
    }
}

diesel::table! {
    cloud_services (name) {
        name -> Varchar,
        last_ok_at -> Nullable<Datetime>,
        failing_since -> Nullable<Datetime>,
        error -> Nullable<Varchar>,
        duration_ms -> Unsigned<Integer>,
        seen -> Unsigned<Integer>,
        catalogue -> Nullable<Text>,
        catalogue_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    applications (id) {
        id -> Binary,
        account_id -> Binary,
        name -> Varchar,
        host_label -> Nullable<Varchar>,
        namespace -> Varchar,
        deployment_name -> Varchar,
        service_name -> Varchar,
        status -> Varchar,
        transition -> Nullable<Varchar>,
        transition_accepted -> Bool,
        reason -> Nullable<Varchar>,
        reason_text -> Nullable<Varchar>,
        findings -> Nullable<Text>,
        replicas -> Unsigned<Integer>,
        size -> Varchar,
        cpu_millis -> Unsigned<Integer>,
        memory_mb -> Unsigned<Integer>,
        revision -> Unsigned<Integer>,
        deployed_revision -> Nullable<Unsigned<Integer>>,
        observed -> Nullable<Mediumtext>,
        since -> Nullable<Datetime>,
        look_at -> Nullable<Datetime>,
        launch_key -> Varchar,
        version -> Unsigned<Integer>,
        created_at -> Datetime,
        updated_at -> Datetime,
        deleted_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    application_configs (application_id, revision) {
        application_id -> Binary,
        revision -> Unsigned<Integer>,
        image -> Varchar,
        image_reference -> Varchar,
        pull_always -> Bool,
        external_port -> Unsigned<Smallint>,
        internal_port -> Unsigned<Smallint>,
        replicas -> Unsigned<Integer>,
        size -> Varchar,
        cpu_millis -> Unsigned<Integer>,
        memory_mb -> Unsigned<Integer>,
        exposed_ports -> Varchar,
        variables -> Mediumtext,
        secret_names -> Text,
        pending_secrets -> Nullable<Mediumblob>,
        created_at -> Datetime,
    }
}

diesel::table! {
    application_events (id) {
        id -> Binary,
        application_id -> Binary,
        kind -> Varchar,
        detail -> Nullable<Varchar>,
        created_at -> Datetime,
    }
}

diesel::table! {
    cluster_strays (application_id) {
        application_id -> Binary,
        account_id -> Binary,
        namespace -> Varchar,
        reason -> Varchar,
        first_seen_at -> Datetime,
        last_seen_at -> Datetime,
    }
}

diesel::table! {
    buckets (id) {
        id -> Binary,
        account_id -> Binary,
        name -> Varchar,
        taken_name -> Nullable<Varchar>,
        status -> Varchar,
        transition -> Nullable<Varchar>,
        reason -> Nullable<Varchar>,
        reason_text -> Nullable<Varchar>,
        address -> Nullable<Varchar>,
        bytes -> Unsigned<Bigint>,
        objects -> Unsigned<Bigint>,
        removed -> Unsigned<Bigint>,
        to_remove -> Unsigned<Bigint>,
        changed_at -> Nullable<Datetime>,
        measured_at -> Nullable<Datetime>,
        launch_key -> Varchar,
        version -> Unsigned<Integer>,
        created_at -> Datetime,
        updated_at -> Datetime,
        deleted_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    uploads (id) {
        id -> Binary,
        account_id -> Binary,
        bucket_id -> Binary,
        object_key -> Varbinary,
        key_hash -> Binary,
        other_key -> Nullable<Varbinary>,
        attempt -> Nullable<Binary>,
        state -> Varchar,
        receiving -> Nullable<Unsigned<Tinyint>>,
        reserved -> Unsigned<Bigint>,
        in_segments -> Bool,
        leased_until -> Datetime,
        created_at -> Datetime,
    }
}

diesel::table! {
    share_links (id) {
        id -> Binary,
        account_id -> Binary,
        bucket_id -> Binary,
        object_key -> Varbinary,
        downloads -> Unsigned<Bigint>,
        last_at -> Nullable<Datetime>,
        created_at -> Datetime,
        expires_at -> Datetime,
    }
}

diesel::table! {
    bucket_tokens (id) {
        id -> Binary,
        account_id -> Binary,
        bucket_id -> Binary,
        writes -> Bool,
        last_at -> Nullable<Datetime>,
        created_at -> Datetime,
        expires_at -> Datetime,
    }
}

diesel::table! {
    bucket_removals (id) {
        id -> Binary,
        account_id -> Binary,
        bucket_id -> Binary,
        prefix -> Varbinary,
        removed -> Unsigned<Bigint>,
        error -> Nullable<Varchar>,
        created_at -> Datetime,
        ended_at -> Nullable<Datetime>,
    }
}

diesel::joinable!(sessions -> accounts (account_id));
diesel::joinable!(share_links -> buckets (bucket_id));
diesel::joinable!(bucket_tokens -> buckets (bucket_id));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    account_quotas,
    sessions,
    instances,
    operations,
    instance_events,
    applications,
    application_configs,
    application_events,
    buckets,
    uploads,
    share_links,
    bucket_tokens,
    bucket_removals
);
