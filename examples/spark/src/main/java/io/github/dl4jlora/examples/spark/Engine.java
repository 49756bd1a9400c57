package io.github.dl4jlora.examples.spark;

import org.apache.spark.api.java.JavaSparkContext;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.stream.IntStream;

/** A running Spark application with two workers: threads of this JVM, or a cluster of JVMs on this machine. */
final class Engine implements AutoCloseable {

    static final int WORKERS = 2;

    private static final String READ = "Read the base network at";

    private final LocalCluster cluster;
    private final JavaSparkContext spark;
    private final WireBytes wire = new WireBytes();

    private Engine(LocalCluster cluster, JavaSparkContext spark) {
        this.cluster = cluster;
        this.spark = spark;
        spark.sc().addSparkListener(wire);
    }

    static Engine local() {
        return new Engine(null, new JavaSparkContext(SparkSettings.conf("local[" + WORKERS + "]")));
    }

    /**
     * @param folder for logs and working directories
     */
    static Engine cluster(Path folder) throws IOException {
        LocalCluster cluster = LocalCluster.start(folder, WORKERS);
        try {
            return new Engine(cluster, new JavaSparkContext(SparkSettings.conf(cluster.url())));
        } catch (RuntimeException e) {
            cluster.close();
            throw e;
        }
    }

    JavaSparkContext spark() {
        return spark;
    }

    /** What parameter averaging has sent so far. */
    WireBytes.Count sent() {
        drain();
        return wire.count();
    }

    /** Rounds of averaging that the listeners have seen. */
    int roundsSoFar() {
        return wire.count().rounds();
    }

    /**
     * Arms a killer.
     *
     * @param round of averaging, counted from 1 and from now
     */
    WorkerKiller killInRound(int round) {
        WorkerKiller killer = new WorkerKiller(cluster, spark.sc().applicationId(), round);
        spark.sc().addSparkListener(killer);
        return killer;
    }

    /** How often each executor of the cluster has read a base from its location. */
    List<Long> basesRead() {
        return IntStream.range(0, WORKERS).boxed()
                .flatMap(worker -> cluster.executorLogs(spark.sc().applicationId(), worker).stream())
                .map(log -> log.lines().filter(line -> line.contains(READ)).count()).toList();
    }

    @Override
    public void close() {
        spark.close();
        if (cluster != null) {
            cluster.close();
        }
    }

    /** Waits until the listeners have seen everything. */
    void drain() {
        try {
            spark.sc().listenerBus().waitUntilEmpty();
        } catch (TimeoutException e) {
            throw new IllegalStateException("Spark's listeners do not keep up", e);
        }
    }
}
