package io.github.dl4jlora.examples.serve;

import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** How a service is. */
final class Health {

    private static final ObjectMapper JSON = new ObjectMapper();

    private Health() {
    }

    /** {@code {"status": "ready", "base": {"verified": "2026-01-01T00:00:00Z", "defect": null}}}. */
    static String json(String status, BaseWatch.State base) {
        ObjectNode health = JSON.createObjectNode().put("status", status);
        health.putObject("base").put("verified", base.verified().toString()).put("defect", base.defect());
        return health.toString();
    }
}
