package fleet

import dto "github.com/prometheus/client_model/go"

// spec describes one metric family: its series are all combinations of the
// values of its labels.
type spec struct {
	name, help string
	kind       dto.MetricType
	low, high  float64 // of a gauge's value, or of a counter's increase per second
	labels     []dimension
}

type dimension struct {
	label  string
	values []string
}

func dim(label string, values ...string) dimension { return dimension{label, values} }

func counter(name, help string, low, high float64, labels ...dimension) spec {
	return spec{name, help, dto.MetricType_COUNTER, low, high, labels}
}

func gauge(name, help string, low, high float64, labels ...dimension) spec {
	return spec{name, help, dto.MetricType_GAUGE, low, high, labels}
}

// histogram observes between low and high events per second.
func histogram(name, help string, low, high float64, labels ...dimension) spec {
	return spec{name, help, dto.MetricType_HISTOGRAM, low, high, labels}
}

var (
	access   = dim("access", "lte", "nr")
	apn      = dim("apn", "internet", "ims", "iot")
	cell     = dim("cell", "1", "2", "3", "4", "5", "6")
	command  = dim("command", "air", "clr", "idr", "pur", "ulr")
	device   = dim("device", "mmcblk0", "nvme0n1")
	link     = dim("link", "fibre", "microwave")
	mount    = dim("mountpoint", "/", "/boot", "/var")
	peer     = dim("peer", "sgw-1", "sgw-2", "upf-1")
	port     = dim("interface", "eth0", "eth1", "gtp_br0", "tun0")
	software = dim("service", "control_proxy", "directoryd", "enodebd", "health", "magmad", "mme", "mobilityd", "pipelined", "sessiond", "subscriberdb")
)

// gatewaySpecs is what one LTE and 5G edge gateway reports: 303 series.
var gatewaySpecs = []spec{
	// The machine.
	counter("gateway_cpu_seconds_total", "Time that each CPU spent in each mode.", 0.01, 0.9,
		dim("cpu", "0", "1", "2", "3"), dim("mode", "idle", "iowait", "softirq", "system", "user")),
	gauge("gateway_memory_bytes", "Memory by state.", 100e6, 8e9, dim("state", "available", "buffers", "cached", "total")),
	gauge("gateway_load_average", "Mean number of runnable processes over the window.", 0, 4, dim("window", "1m", "5m", "15m")),
	gauge("gateway_filesystem_size_bytes", "Size of the filesystem.", 1e9, 64e9, mount),
	gauge("gateway_filesystem_free_bytes", "Free space of the filesystem.", 1e8, 32e9, mount),
	counter("gateway_disk_read_bytes_total", "Bytes read from the device.", 1e3, 1e6, device),
	counter("gateway_disk_written_bytes_total", "Bytes written to the device.", 1e3, 1e6, device),
	counter("gateway_network_receive_bytes_total", "Bytes received.", 1e3, 50e6, port),
	counter("gateway_network_transmit_bytes_total", "Bytes sent.", 1e3, 50e6, port),
	counter("gateway_network_receive_packets_total", "Packets received.", 1, 40e3, port),
	counter("gateway_network_transmit_packets_total", "Packets sent.", 1, 40e3, port),
	counter("gateway_network_receive_drops_total", "Packets received and dropped.", 0, 5, port),
	counter("gateway_network_transmit_errors_total", "Packets that could not be sent.", 0, 5, port),
	gauge("gateway_temperature_celsius", "Temperature by sensor.", 25, 85, dim("sensor", "board", "cpu", "modem", "psu")),
	gauge("gateway_power_watts", "Electric power drawn.", 18, 65),
	gauge("gateway_battery_charge_ratio", "Charge of the backup battery.", 0, 1),
	gauge("gateway_battery_volts", "Voltage of the backup battery.", 11, 14),
	gauge("gateway_clock_offset_seconds", "Difference to the reference clock.", -0.01, 0.01),
	gauge("gateway_satellites_visible", "Satellites that the GPS receiver sees.", 4, 14),
	gauge("gateway_position_degrees", "Where the gateway stands.", -90, 90, dim("axis", "latitude", "longitude")),
	gauge("gateway_boot_time_seconds", "When the gateway started, in Unix time.", 1.765e9, 1.765e9),
	counter("gateway_reboots_total", "Starts of the gateway beyond the first.", 0, 0),
	gauge("gateway_build_info", "The installed release; always 1.", 1, 1, dim("version", "1.9.0")),
	gauge("gateway_certificate_expiry_seconds", "Time until the certificate expires.", 1e5, 3e7),
	gauge("gateway_config_age_seconds", "Time since the configuration was received.", 0, 120),
	counter("gateway_checkins_total", "Check-ins with the orchestrator by result.", 0.01, 0.1, dim("result", "failure", "success")),
	// Its services.
	counter("gateway_service_cpu_seconds_total", "CPU time of the service.", 0.001, 0.4, software),
	gauge("gateway_service_resident_memory_bytes", "Memory of the service.", 10e6, 400e6, software),
	counter("gateway_service_restarts_total", "Starts of the service beyond the first.", 0, 0.01, software),
	gauge("gateway_service_up", "Whether the service answers.", 1, 1, software),
	// The radio network.
	gauge("ran_cell_up", "Whether the cell is on the air.", 1, 1, cell),
	gauge("ran_connected_users", "Users with a radio connection.", 0, 120, cell),
	gauge("ran_channel_quality", "Mean channel quality indicator.", 1, 15, cell),
	gauge("ran_reference_signal_power_dbm", "Mean reference signal power.", -120, -70, cell),
	gauge("ran_resource_block_utilization_ratio", "Share of the resource blocks in use.", 0, 1, cell, dim("direction", "downlink", "uplink")),
	counter("ran_downlink_bytes_total", "User data sent to phones.", 1e3, 20e6, cell),
	counter("ran_uplink_bytes_total", "User data received from phones.", 1e3, 5e6, cell),
	counter("ran_rrc_setup_attempts_total", "Attempts to set up a radio connection.", 0.1, 30, cell),
	counter("ran_rrc_setup_failures_total", "Radio connections that failed by cause.", 0, 1, cell, dim("cause", "congestion", "reject", "timeout")),
	counter("ran_handovers_total", "Handovers by result.", 0, 4, cell, dim("result", "failure", "success")),
	// The core network.
	gauge("core_registered_subscribers", "Subscribers that are registered.", 0, 900, access),
	gauge("core_sessions", "Data sessions.", 0, 400, access, apn),
	gauge("core_qos_flows", "Flows by 5G QoS class.", 0, 300, dim("class", "1", "2", "5", "6", "7", "8", "9", "69")),
	counter("core_attach_requests_total", "Attach requests.", 0.1, 20, access),
	counter("core_attach_failures_total", "Attach requests that failed by cause.", 0, 0.5, access,
		dim("cause", "authentication", "congestion", "network", "roaming", "timeout")),
	counter("core_paging_attempts_total", "Paging attempts.", 0.1, 40, access),
	counter("core_paging_timeouts_total", "Paging attempts without an answer.", 0, 2, access),
	counter("core_downlink_bytes_total", "User data from the APN.", 1e3, 50e6, apn),
	counter("core_uplink_bytes_total", "User data to the APN.", 1e3, 10e6, apn),
	gauge("gtp_tunnels", "GTP tunnels to the peer.", 0, 500, peer),
	counter("gtp_echo_failures_total", "GTP echo requests without an answer.", 0, 0.2, peer),
	counter("diameter_requests_total", "Diameter requests by command.", 0.1, 20, command),
	counter("diameter_errors_total", "Diameter requests answered with an error.", 0, 0.5, command),
	counter("backhaul_packets_lost_total", "Packets lost on the way to the core.", 0, 20, link),
	gauge("backhaul_signal_strength_dbm", "Received signal strength.", -80, -30, link),
	histogram("backhaul_round_trip_seconds", "Round trips to the core.", 1, 10),
	histogram("core_attach_duration_seconds", "Time from attach request to answer.", 0.1, 20, access),
}

var services = dim("service", "certifier", "configurator", "directoryd", "dispatcher", "eventd", "metricsd", "orchestrator", "state", "streamer", "tenants")

// cloudSpecs is what one host of the cloud services reports: 200 series.
var cloudSpecs = []spec{
	counter("orchestrator_requests_total", "Requests by service and status.", 0.1, 200, services, dim("code", "200", "400", "404", "429", "500")),
	counter("orchestrator_errors_total", "Errors that the service logged.", 0, 1, services),
	counter("orchestrator_cpu_seconds_total", "CPU time of the service.", 0.01, 2, services),
	gauge("orchestrator_resident_memory_bytes", "Memory of the service.", 20e6, 2e9, services),
	gauge("orchestrator_goroutines", "Goroutines of the service.", 10, 4000, services),
	gauge("orchestrator_database_connections", "Connections to the database by state.", 0, 50, dim("state", "active", "failed", "idle", "waiting")),
	gauge("orchestrator_queue_messages", "Messages in the queue.", 0, 1000, dim("queue", "0", "1", "2", "3", "4", "5", "6", "7")),
	counter("orchestrator_cache_hits_total", "Look-ups that the cache answered.", 1, 900, dim("cache", "0", "1", "2", "3", "4", "5", "6", "7")),
	counter("orchestrator_cache_misses_total", "Look-ups that the cache did not answer.", 1, 90, dim("cache", "0", "1", "2", "3", "4", "5", "6", "7")),
	counter("orchestrator_updates_total", "Updates sent to gateways by stream.", 0.1, 20,
		dim("stream", "base_names", "configs", "mconfig", "policies", "rating", "rules", "sessions", "subscribers", "wallets")),
	gauge("orchestrator_gateways", "Gateways by state.", 0, 347, dim("state", "offline", "online", "upgrading")),
	histogram("orchestrator_request_duration_seconds", "Time to answer a request.", 0.1, 200,
		dim("service", "configurator", "directoryd", "metricsd", "state", "streamer")),
}

var site = dim("site", "s01", "s02", "s03", "s04", "s05", "s06", "s07", "s08", "s09", "s10",
	"s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", "s19", "s20")

// pushedSpecs is what one network sends through the push API: 100 series.
var pushedSpecs = []spec{
	counter("site_energy_joules_total", "Electric energy used.", 50, 4000, site),
	gauge("site_temperature_celsius", "Temperature in the cabinet.", 5, 55, site),
	gauge("site_humidity_ratio", "Relative humidity in the cabinet.", 0, 1, site),
	gauge("site_backup_power_on", "Whether the site runs on backup power.", 0, 0, site),
	gauge("site_door_open", "Whether the cabinet's door is open.", 0, 0, site),
}
