"""Keeps a layer 2 agent's record alive in Neutron for a host that has none: fake-agent.py HOST OPTIONS

Neutron binds a port only on a host from which a Linux bridge agent reports. Servers of Nova's fake
driver have no network cards, so a real second agent has nothing to do there; it would also fight
with the first one over this machine's bridges and iptables. A heartbeat is enough.
"""
import sys
import time

from neutron.agent import rpc
from neutron.common import config
from neutron.conf.agent import common as agent_options
from neutron_lib import constants, context
from neutron_lib.agent import topics
from oslo_config import cfg

host, options = sys.argv[1], sys.argv[2:]
config.register_common_config_options()
agent_options.register_agent_state_opts_helper(cfg.CONF)
config.init(options)
reports = rpc.PluginReportStateAPI(topics.REPORTS)
state = {
    "binary": "neutron-linuxbridge-agent", "agent_type": constants.AGENT_TYPE_LINUXBRIDGE,
    "host": host, "topic": constants.L2_AGENT_TOPIC, "start_flag": True,
    "configurations": {"bridge_mappings": {}, "interface_mappings": {}, "devices": 0},
}
while True:
    try:
        reports.report_state(context.get_admin_context_without_session(), state, use_call=True)
        state.pop("start_flag", None)
    except Exception as e:  # the server or the queue is away: they come back
        print(f"report: {e!r}", flush=True)
    time.sleep(cfg.CONF.AGENT.report_interval)
