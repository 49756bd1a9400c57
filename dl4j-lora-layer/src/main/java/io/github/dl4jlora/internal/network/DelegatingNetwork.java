package io.github.dl4jlora.internal.network;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.MultiDataSet;

import java.util.List;
import java.util.Map;

/**
 * Another network, but for some of its layers or for where their values are.
 *
 * @param <M> the network type
 */
abstract class DelegatingNetwork<M extends Model> extends Network<M> {

    final Network<M> inner;

    DelegatingNetwork(Network<M> inner) {
        this.inner = inner;
    }

    @Override
    public final M model() {
        return inner.model();
    }

    @Override
    public final boolean isGraph() {
        return inner.isGraph();
    }

    @Override
    public final List<String> inputs() {
        return inner.inputs();
    }

    @Override
    public final List<String> outputs() {
        return inner.outputs();
    }

    @Override
    public final @Nullable InputPreProcessor preprocessor(Node node) {
        return inner.preprocessor(node);
    }

    @Override
    public final boolean trainsInWorkspaces() {
        return inner.trainsInWorkspaces();
    }

    @Override
    public final long seed() {
        return inner.seed();
    }

    @Override
    public final DataType dataType() {
        return inner.dataType();
    }

    @Override
    public final Updater updater() {
        return inner.updater();
    }

    @Override
    public final @Nullable Updater updaterSoFar() {
        return inner.updaterSoFar();
    }

    @Override
    public final void fit(MultiDataSet batch) {
        inner.fit(batch);
    }

    @Override
    public final double score(MultiDataSet batch) {
        return inner.score(batch);
    }

    @Override
    public final void resetCounts() {
        inner.resetCounts();
    }

    @Override
    public final void infer(MultiDataSet batch) {
        inner.infer(batch);
    }

    @Override
    public final void gradients(MultiDataSet batch) {
        inner.gradients(batch);
    }

    @Override
    public Network<M> rebuild(Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        return inner.rebuild(layers, vertices);
    }
}
