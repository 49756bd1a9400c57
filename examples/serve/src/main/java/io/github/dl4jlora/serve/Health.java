package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.BaseStatus;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** The state of a service. */
final class Health {

    private static final ObjectMapper JSON = new ObjectMapper();

    private Health() {
    }

    /** {@code {"status": "ready", "base": {"verified": "2026-01-01T00:00:00Z", "defect": null}}}. */
    static String json(String status, BaseStatus base) {
        ObjectNode health = JSON.createObjectNode().put("status", status);
        health.putObject("base").put("verified", base.verified().toString()).put("defect", base.defect().orElse(null));
        return health.toString();
    }
}
