package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.NodeProto;

/**
 * Look-ups of rows in tables that are stored in fewer bits. A table that is widened first would be in memory as FLOAT, and ONNX
 * Runtime widens it when it opens the file. So the rows are looked up as they are stored, and these are widened.
 */
final class LookUps {

    private LookUps() {
    }

    /** Changes all of a graph, whose outputs are known. */
    static void narrow(OnnxGraph graph) {
        for (NodeProto node : graph.takeNodes()) {
            Weight table = node.getOpType().equals("Gather") && Attribute.number(node, "axis") == 0
                    ? graph.weights().get(node.getInput(0)) : null;
            if (table == null || table.axis() != 0) {
                graph.add(node);
            } else {
                graph.enter(graph.layer(node.getName()));
                String rows = graph.storageOf(table).rows(graph, table, node.getInput(1));
                graph.add(node.toBuilder().clearInput().clearAttribute().setOpType("Identity").addInput(rows).build());
            }
        }
        graph.prune();
    }
}
