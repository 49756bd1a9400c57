package io.github.dl4jlora.examples.spark;

import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskStart;

/** Kills a worker with its executor as soon as that executor has begun to train its share of a given round. */
final class WorkerKiller extends SparkListener {

    private final LocalCluster cluster;
    private final String application;
    private final int fatalRound;
    private int rounds;
    private int fatalStage = -1;
    private boolean killed;
    private boolean noticed;

    /**
     * @param application the running application's id
     * @param fatalRound  counted from 1
     */
    WorkerKiller(LocalCluster cluster, String application, int fatalRound) {
        this.cluster = cluster;
        this.application = application;
        this.fatalRound = fatalRound;
    }

    @Override
    public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
        if (WireBytes.isAveraging(event.stageInfo()) && ++rounds == fatalRound) {
            fatalStage = event.stageInfo().stageId();
        }
    }

    @Override
    public synchronized void onTaskStart(SparkListenerTaskStart event) {
        if (event.stageId() == fatalStage && !killed) {
            killed = true;
            cluster.kill(cluster.workerOf(application, event.taskInfo().executorId()));
        }
    }

    @Override
    public synchronized void onExecutorRemoved(SparkListenerExecutorRemoved event) {
        noticed |= killed;
    }

    /** Whether Spark has lost an executor since. */
    synchronized boolean noticed() {
        return noticed;
    }
}
