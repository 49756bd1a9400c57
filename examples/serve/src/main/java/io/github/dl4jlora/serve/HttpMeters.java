package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;

import java.util.List;
import java.util.concurrent.TimeUnit;

/** Requests by route and status, and what the JVM uses. */
final class HttpMeters {

    private final MeterRegistry registry;

    HttpMeters(MeterRegistry registry) {
        this.registry = registry;
        List.of(new JvmMemoryMetrics(), new JvmThreadMetrics(), new FileDescriptorMetrics(), new ProcessorMetrics(),
                new UptimeMetrics()).forEach(binder -> binder.bindTo(registry));
    }

    /** Gauges of connections, and of the memory that requests hold. */
    void watch(Connections connections, Intake intake) {
        Gauge.builder("http.server.connections", connections, Connections::count).description("Connections").register(registry);
        Gauge.builder("http.server.held", intake, Intake::held).baseUnit("bytes").description("What requests hold in memory")
                .register(registry);
    }

    /** Counts by a route's pattern, not by path, since there may be any number of paths. */
    void count(Context request, float millis) {
        Timer.builder("http.server.requests").description("Requests over HTTP").tag("method", request.method().name())
                .tag("uri", request.endpointHandlerPath()).tag("status", String.valueOf(request.statusCode())).register(registry)
                .record((long) (millis * 1e6), TimeUnit.NANOSECONDS);
    }
}
