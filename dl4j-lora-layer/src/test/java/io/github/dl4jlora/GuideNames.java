package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;

import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;

/** What the guide's pages leave to the reader: the names that their blocks use and do not declare. */
public class GuideNames {

    protected static final int CLASSES = 5;
    protected static final int WIDTH = 4;

    protected ComputationGraph base;
    protected ComputationGraph tuned;
    protected ComputationGraph fineTuned;
    protected ComputationGraph network;
    protected ComputationGraph withNewHead;
    protected LoRAConfig config;
    protected LoRAAdapter adapter;
    protected LoRAAdapter spam;
    protected LoRAAdapter tone;
    protected LoRAAdapter both;
    protected LoRAAdapter trained;
    protected AdapterBank bank;
    protected Path path;
    protected Path shared;
    protected Path checkpoint;
    protected Path everything;
    protected Path folder;
    protected Path adapters;
    protected Path spamFolder;
    protected Path toneFolder;
    protected InputStream in;
    protected OutputStream out;
    protected DataSetIterator iterator;
    protected DataSetIterator data;
    protected int epochs;
    protected INDArray input;
    protected INDArray row;
    protected INDArray threeRows;
    protected INDArray step;
    protected INDArray next;
    protected INDArray w;
    protected INDArray b;
    protected NormalizerStandardize normalizer;
    protected ComputationGraphConfiguration configuration;
    protected MultiLayerConfiguration conf;

    protected ComputationGraph withNewHead(ComputationGraph of) {
        return of;
    }

    protected INDArray myValues(String layer, String key) {
        return input;
    }
}
