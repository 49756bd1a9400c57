package io.github.dl4jlora.examples.serve;

import io.javalin.http.Context;
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

    private static final String SINCE = "dl4jlora.since";

    private final MeterRegistry registry;

    HttpMeters(MeterRegistry registry) {
        this.registry = registry;
        List.of(new JvmMemoryMetrics(), new JvmThreadMetrics(), new FileDescriptorMetrics(), new ProcessorMetrics(),
                new UptimeMetrics()).forEach(binder -> binder.bindTo(registry));
    }

    /** Before anything else is done for a request. */
    void begin(Context request) {
        request.attribute(SINCE, System.nanoTime());
    }

    /** A route's pattern, not the path, since there are any number of paths. */
    void count(Context request) {
        Long since = request.attribute(SINCE);
        Timer.builder("http.server.requests").description("Requests over HTTP").tag("method", request.method().name())
                .tag("uri", request.endpointHandlerPath()).tag("status", String.valueOf(request.statusCode())).register(registry)
                .record(System.nanoTime() - (since == null ? System.nanoTime() : since), TimeUnit.NANOSECONDS);
    }
}
