package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankMetrics.Outcome;
import io.github.dl4jlora.bank.BankStatus;
import io.javalin.http.Context;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.distribution.ValueAtPercentile;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** {@code GET /statistics}: the meters that the page shows. */
final class StatisticsRoute {

    private static final ObjectMapper JSON = new ObjectMapper();

    private final MeterRegistry registry;
    private final AdapterBank bank;
    private final Supplier<String> status;

    StatisticsRoute(MeterRegistry registry, AdapterBank bank, Supplier<String> status) {
        this.registry = registry;
        this.bank = bank;
        this.status = status;
    }

    void answer(Context request) throws IOException {
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(told()));
    }

    ObjectNode told() {
        BankStatus now = bank.status();
        DistributionSummary examples = registry.get(MicrometerBankMetrics.EXAMPLES).summary();
        ObjectNode told = JSON.createObjectNode().put("status", status.get()).put("adapters", now.adapters())
                .put("adapterBytes", now.adapterBytes()).put("networks", now.networks()).put("queued", now.queued())
                .put("refused", (long) registry.get(MicrometerBankMetrics.REFUSED).counter().count())
                .put("batches", examples.count()).put("examplesInABatch", examples.mean())
                .put("mixesInABatch", registry.get(MicrometerBankMetrics.MIXES).summary().mean());
        requests(told.putArray("requests"));
        return told;
    }

    private void requests(ArrayNode requests) {
        Map<String, ObjectNode> byAdapter = new TreeMap<>();
        for (Timer timer : registry.find(MicrometerBankMetrics.REQUESTS).timers()) {
            String adapter = timer.getId().getTag(MicrometerBankMetrics.ADAPTER);
            ObjectNode node = byAdapter.computeIfAbsent(adapter, name -> JSON.createObjectNode().put("adapter", name)
                    .put("answered", 0).put("failed", 0));
            if (Outcome.ANSWERED.name().toLowerCase(Locale.ROOT).equals(timer.getId().getTag(MicrometerBankMetrics.OUTCOME))) {
                node.put("answered", timer.count());
                double longest = timer.max(TimeUnit.MILLISECONDS);
                if (longest == 0) {
                    // None in the last minutes, of which these are.
                    continue;
                }
                ValueAtPercentile[] percentiles = timer.takeSnapshot().percentileValues();
                // Percentiles come from buckets, which may exceed the longest time.
                node.put("longest", longest)
                        .put("median", Math.min(longest, percentiles[0].value(TimeUnit.MILLISECONDS)))
                        .put("p95", Math.min(longest, percentiles[1].value(TimeUnit.MILLISECONDS)));
            } else {
                node.put("failed", node.get("failed").asLong() + timer.count());
            }
        }
        byAdapter.values().forEach(requests::add);
    }
}
