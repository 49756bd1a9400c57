package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.MultiDataSet;

import java.util.Map;

/**
 * A network as another one: the same but for some of its layers, or for where their values are.
 *
 * @param <M> the network type
 */
abstract class StandingFor<M extends Model> extends Network<M> {

    final Network<M> inner;

    StandingFor(Network<M> inner) {
        this.inner = inner;
    }

    @Override
    final M model() {
        return inner.model();
    }

    @Override
    final long seed() {
        return inner.seed();
    }

    @Override
    final DataType dataType() {
        return inner.dataType();
    }

    @Override
    final Updater updater() {
        return inner.updater();
    }

    @Override
    final void resetCounts() {
        inner.resetCounts();
    }

    @Override
    final void infer(MultiDataSet batch) {
        inner.infer(batch);
    }

    @Override
    final void gradients(MultiDataSet batch) {
        inner.gradients(batch);
    }

    @Override
    Network<M> rebuild(Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        return inner.rebuild(layers, vertices);
    }
}
